// Starts the system's Chromium, with everything off that would speak to the outside by itself.

import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

const EXECUTABLE = "/usr/bin/chromium";
const ARGUMENTS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];

/** A running browser. */
export async function openChromium() {
  if (!existsSync(EXECUTABLE)) {
    throw new Error(`${EXECUTABLE} is missing; install it: apt-get install --no-install-recommends chromium`);
  }
  return chromium.launch({ executablePath: EXECUTABLE, args: ARGUMENTS });
}
