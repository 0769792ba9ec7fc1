// The operator of the running shop: tokens of `hostel token`, asked again before one expires.

import { execFileSync } from "node:child_process";

const REPOSITORY = new URL("../../../", import.meta.url).pathname;
// A token counts for five minutes.
const USED_MS = 120_000;

/** Who may see and do everything. */
export class Operator {
  #token = null;
  #made = 0;

  token() {
    if (Date.now() - this.#made > USED_MS) {
      this.#made = Date.now();
      this.#token = ask();
    }
    return this.#token;
  }
}

// HOSTEL and HOSTEL_CONFIG name another command and configuration than those of `cargo run --release -- up`.
function ask() {
  const { HOSTEL = `${REPOSITORY}target/release/hostel`, HOSTEL_CONFIG = `${REPOSITORY}gateway.toml` } = process.env;
  return execFileSync(HOSTEL, ["--config", HOSTEL_CONFIG, "token", "--scope", "shop"], { encoding: "utf8" }).trim();
}
