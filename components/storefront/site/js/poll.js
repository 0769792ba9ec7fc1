// Asks again and again until an answer is final: quickly while all is well, ever slower on errors, never while the page is hidden.

import { Problem } from "./api.js";

const INTERVAL_MS = 500;
// A shop that is down is asked at most this rarely, so that it is found soon after it is back.
const INTERVAL_MS_MAX = 10_000;

/**
 * Calls `ask` until it returns true; it throws a `Problem` when there was no good answer.
 * Returns a function that stops the asking.
 */
export function poll(ask) {
  let wait = INTERVAL_MS;
  let timer = 0;
  let asking = false;
  let stopped = false;

  function stop() {
    stopped = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", resume);
  }

  async function turn() {
    asking = true;
    try {
      if (await ask()) stop();
      wait = INTERVAL_MS;
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      wait = Math.min(Math.max(wait * 2, problem.retryAfterMs), INTERVAL_MS_MAX);
    } finally {
      asking = false;
    }
    if (!stopped && !document.hidden) timer = setTimeout(turn, wait);
  }

  function resume() {
    clearTimeout(timer);
    if (document.hidden || asking || stopped) return;
    wait = INTERVAL_MS;
    turn();
  }

  document.addEventListener("visibilitychange", resume);
  resume();
  return stop;
}
