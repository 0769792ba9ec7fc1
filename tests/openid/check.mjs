// One line a check; the first one that fails ends the run.

let passed = 0;

/** Fails the run when the claim does not hold; `found` is shown then. */
export function check(claim, holds, found) {
  if (!holds) {
    console.log(`FAILED  ${claim}`);
    if (found !== undefined) console.log(found);
    process.exit(1);
  }
  passed += 1;
  console.log(`ok      ${claim}`);
}

/** The error of a promise that must be refused, by its code of OAuth. */
export async function checkRefused(claim, code, attempt) {
  try {
    check(claim, false, await attempt());
  } catch (error) {
    check(`${claim}: ${code}`, error.error === code, error);
  }
}

export function summary() {
  console.log(`${passed} checks passed`);
}
