// Turns amounts, times and numbers of the API into words for people.

const euro = new Intl.NumberFormat("en-IE", { style: "currency", currency: "EUR" });
const clock = new Intl.DateTimeFormat("en-IE", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat("en-IE", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

// Numbers below this are seconds since 1970, above it milliseconds: it is the year 5138 in the one and 1973 in the other.
const SECONDS_MAX = 1e11;
// Longer order ids are shortened to their end, the part that differs between orders of the same minute.
const ID_LENGTH_MAX = 12;
const ID_LENGTH_SHORT = 8;

/** Integer cents as euro. */
export function money(cents) {
  return euro.format(cents / 100);
}

/** "1 item", "2 items". */
export function count(number, noun) {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}

/** The time of day, with seconds; empty when the moment cannot be read. */
export function timeOfDay(moment) {
  const date = toDate(moment);
  return date ? clock.format(date) : "";
}

/** Day and time; empty when the moment cannot be read. */
export function dayAndTime(moment) {
  const date = toDate(moment);
  return date ? day.format(date) : "";
}

/** The short name by which people speak of an order. */
export function orderName(id) {
  const text = String(id);
  return text.length > ID_LENGTH_MAX ? text.slice(-ID_LENGTH_SHORT) : text;
}

function toDate(moment) {
  if (moment === null || moment === undefined || moment === "") return null;
  const date = new Date(typeof moment === "number" && moment < SECONDS_MAX ? moment * 1000 : moment);
  return Number.isNaN(date.getTime()) ? null : date;
}
