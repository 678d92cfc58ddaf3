"use strict";
// How numbers are written, as in the other reports: three digits and a unit.

const UNITS = {bytes: "B", bytes_per_s: "B/s", flops_per_s: "FLOP/s", flops: "FLOP", hertz: "Hz", seconds: "s",
  watts: "W", joules: "J"};
const PREFIXES = [[18, "E"], [15, "P"], [12, "T"], [9, "G"], [6, "M"], [3, "k"], [0, ""], [-3, "m"], [-6, "µ"],
  [-9, "n"]];
const MISSING = "-";

const known = (value) => typeof value === "number" && Number.isFinite(value);

function powerOf(value) {
  const size = Math.abs(value) * (1 + 1e-9);
  return (PREFIXES.find(([power]) => size >= Number(`1e${power}`)) || PREFIXES.at(-1))[0];
}

function prefixOf(power) { return PREFIXES.find(([p]) => p === power)[1]; }

function digits(value, count = 3) {
  if (!known(value)) return MISSING;
  const text = value.toPrecision(count);
  return Math.abs(value) >= 100 ? Math.round(value).toLocaleString("en-US") : text;
}

function quantity(value, dimension) {
  if (!known(value)) return MISSING;
  if (value === 0) return `0 ${UNITS[dimension]}`;
  let power = powerOf(Number(value.toPrecision(3)));
  if (dimension === "seconds" && power > 0) power = 0;
  return `${digits(value / Number(`1e${power}`))}\u00a0${prefixOf(power)}${UNITS[dimension]}`;
}

const seconds = (value) => quantity(value, "seconds");
const plain = (value) => !known(value) ? MISSING : Math.abs(value) >= 100 ? Math.round(value).toLocaleString("en-US")
  : String(Number(value.toPrecision(3)));
const dollars = (value) => known(value) ? `$${value >= 100 ? Math.round(value).toLocaleString("en-US")
  : value.toPrecision(3)}` : MISSING;

function percent(ratio) {
  if (!known(ratio)) return MISSING;
  const hundredths = 100 * ratio;
  return `${Math.abs(hundredths) >= 9.95 || hundredths === 0 ? Math.round(hundredths) : hundredths.toFixed(1)}\u00a0%`;
}

// the shortest text of a number at a power of ten, such that Number(text + "e" + power) is the number again
function mantissa(value, power) {
  for (let count = 1; count <= 17; count++) {
    const text = String(Number((value / Number(`1e${power}`)).toPrecision(count)));
    if (!text.includes("e") && Number(`${text}e${power}`) === value) return text;
  }
  return String(value / Number(`1e${power}`));
}
