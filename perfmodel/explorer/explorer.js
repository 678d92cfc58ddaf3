"use strict";
// The command, the address, and what happens when.

function command() {
  const words = ["perfmodel estimate", DATA.word];
  for (const [axis, value] of optionsNow()) if (value.word) words.push(axis.flag, value.word);
  for (const [name, value] of Object.entries(state.request)) words.push(FLAGS[name], value);
  words.push(...DATA.fixed);
  for (const number of deviceOf(state.choice).numbers.filter(isTurned)) {
    const value = valueOf(number), text = mantissa(value, powerFor(number));
    if (number.flag) words.push(number.flag, text);
    else words.push("--set", `device.${number.field}=${text}${unitFor(number)}`);
  }
  return words.join(" ");
}

function toFragment() {
  const words = new URLSearchParams();
  optionsNow().forEach(([axis, value]) => words.set(axis.name, value.key));
  for (const [name, value] of Object.entries(state.request)) words.set(name, value);
  for (const [name, value] of Object.entries(turnedNow())) words.set(name, value);
  return `#${words}`;
}

function fromFragment() {
  const words = new URLSearchParams(location.hash.slice(1));
  DATA.axes.forEach((axis, i) => {
    const found = axis.values.findIndex((value) => value.key === words.get(axis.name));
    if (found >= 0) state.choice[i] = found;
  });
  for (const name of Object.keys(state.request)) {
    const value = Number(words.get(name));
    if (Number.isInteger(value) && value >= 1 && value <= 1e12) state.request[name] = value;
  }
  state.turned[state.choice[0]] = {};
  for (const number of deviceOf(state.choice).numbers) {
    const text = words.get(number.argument);
    if (text !== null) turn(number, mantissa(Number(text), powerFor(number)));
  }
}

let waiting = 0;
function changed() {
  cancelAnimationFrame(waiting);
  waiting = requestAnimationFrame(() => {
    show();
    history.replaceState(null, "", toFragment());
  });
}

$("reset").addEventListener("click", () => {
  state.turned[state.choice[0]] = {};
  changed();
  $("copy").focus();
});

$("copy").addEventListener("click", async () => {
  const selection = getSelection(), range = document.createRange();
  range.selectNodeContents($("command"));
  selection.removeAllRanges();
  selection.addRange(range);
  let done = false;
  try {
    await navigator.clipboard.writeText($("command").textContent);
    done = true;
  } catch { done = document.execCommand("copy"); }
  $("copied").textContent = done ? "copied" : "selected: press Ctrl+C";
  setTimeout(() => { $("copied").textContent = ""; }, 4000);
});

let width = innerWidth;
addEventListener("resize", () => {
  if (innerWidth !== width) changed();
  width = innerWidth;
});
addEventListener("hashchange", () => {
  if (location.hash === toFragment()) return;
  fromFragment();
  buildDevice();
  show();
});

$("controls").addEventListener("submit", (event) => event.preventDefault());

function start() {
  // the first combination that fits, or the first that can be
  const every = Object.keys(DATA.combinations).map((key) => key.split(",").map(Number));
  const fits = (choice) => answer(choice, numbersOf(choice, state.request, {})).values.fits;
  state.choice = every.find(fits) || every[0];
  fromFragment();
  build();
  show();
}
start();
