"use strict";
// Sliders, texts and lists: what they set, and what they show.

const turnedNow = () => state.turned[state.choice[0]];
const isTurned = (number) => number.argument in turnedNow();
const valueOf = (number) => turnedNow()[number.argument] ?? number.value;

function niceCounts(most) {
  const found = new Set();
  for (let octave = 1; octave <= most; octave *= 2) {
    for (const part of [1, 1.25, 1.5, 1.75]) if (Number.isInteger(octave * part)) found.add(octave * part);
  }
  return [...found].filter((n) => n <= most).sort((a, b) => a - b);
}

const nearest = (list, value) => list.reduce((best, v, i) =>
  (Math.abs(Math.log(v / value)) < Math.abs(Math.log(list[best] / value)) ? i : best), 0);

function element(name, attributes = {}, children = []) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function control(id, label, parts, unit = "") {
  const box = element("div", {class: "control", id: `box-${id}`}, [element("label", {for: id}, [label]), ...parts]);
  if (unit) box.querySelector("input[type=text]").after(element("span", {class: "unit", "aria-hidden": "true"}, [unit]));
  return box;
}

// a text and a slider for one number; put(text) takes what is typed, and says whether it is a number
function numberControl(id, label, unit, slider, put) {
  const typed = element("input", {type: "text", inputmode: "decimal", id, autocomplete: "off",
    "aria-label": unit ? `${label}, in ${unit}` : label});
  typed.addEventListener("change", () => {
    const right = put(typed.value.trim().replaceAll(",", ""));
    typed.setAttribute("aria-invalid", String(!right));
    if (right) changed();
  });
  const field = element("span", {}, [typed]);
  const parts = [field];
  if (slider) {
    const range = element("input", {type: "range", id: `${id}-slider`, min: slider.min, max: slider.max, step: 1,
      "aria-label": label});
    range.addEventListener("input", () => {
      slider.to(Number(range.value));
      typed.setAttribute("aria-invalid", "false");
      changed();
    });
    parts.push(range);
  }
  return control(id, label, parts, unit);
}

function requestControl([name, label, most]) {
  const list = niceCounts(most);
  return numberControl(name, label, "", {min: 0, max: list.length - 1, to: (i) => { state.request[name] = list[i]; }},
    (text) => {
      const value = Number(text);
      if (!(Number.isInteger(value) && value >= 1 && value <= 1e12)) return false;
      state.request[name] = value;
      return true;
    });
}

const powerFor = (number) => (number.dimension && number.dimension !== "usd" && number.value ? powerOf(number.value) : 0);
const unitFor = (number) => number.dimension === "usd" ? number.unit
  : number.dimension ? prefixOf(powerFor(number)) + UNITS[number.dimension] : "";

function turn(number, text) {
  const value = Number(text.includes("e") ? text * Number(`1e${powerFor(number)}`) : `${text}e${powerFor(number)}`);
  const least = number.dimension === "usd" ? value >= 0 && value < 1e6 : value > 0 && value < 1e18;
  if (text === "" || !least || (number.argument === "chip_cores" && !Number.isInteger(value))) return false;
  if (value === number.value) delete turnedNow()[number.argument];
  else turnedNow()[number.argument] = value;
  return true;
}

const STEPS = 40;

function deviceControl(number) {
  const whole = number.argument === "chip_cores";
  const to = (i) => {
    const value = (number.value / Number(`1e${powerFor(number)}`)) * 2 ** (i / 8);
    const text = whole ? String(Math.max(1, Math.round(value))) : String(Number(value.toPrecision(3)));
    if (i === 0) delete turnedNow()[number.argument];
    else turn(number, text);
  };
  const slider = number.dimension === "usd" ? null : {min: -STEPS, max: STEPS, to};
  return numberControl(number.argument, number.name, unitFor(number), slider, (text) => turn(number, text));
}

function axisControl(axis, place) {
  const select = element("select", {id: `axis-${axis.name}`});
  axis.values.forEach((value, i) => select.append(element("option", {value: i}, [value.text])));
  select.addEventListener("change", () => {
    state.choice[place] = Number(select.value);
    if (place === 0) buildDevice();
    changed();
  });
  const box = control(`axis-${axis.name}`, axis.title, [select]);
  box.hidden = axis.values.length < 2 && place > 0;
  return box;
}

function build() {
  $("requests").append(...REQUESTS.map(requestControl));
  DATA.axes.forEach((axis, i) => $("deployment").append(axisControl(axis, i)));
  $("legend").append(...LEGEND.map((part) => element("li", {class: `key ${part}`}, [part])));
  $("memory-legend").append(...MEMORY_PARTS.map((part, i) => element("li", {class: `key ${MEMORY_KEYS[i]}`}, [part])));
  for (const [id, text] of Object.entries({"requests-title": WORDS.requests, marks: WORDS.marks, "bars-note": WORDS.bars, "memory-title": WORDS.memory,
    "memory-note": WORDS.memoryNote, "over-title": WORDS.over})) $(id).textContent = text;
  buildDevice();
}

const MAIN = /^(memory_main_|peaks_tensor_|links_scale_up_bandwidth|chip_cores)/;

function buildDevice() {
  const numbers = deviceOf(state.choice).numbers;
  const prices = numbers.filter((n) => n.dimension === "usd"), own = numbers.filter((n) => n.dimension !== "usd");
  const used = usedByDevice(), first = own.filter((n) => MAIN.test(n.argument) && used.has(n.argument));
  $("device-main").replaceChildren(...first.map(deviceControl));
  $("device-more").replaceChildren(...own.filter((n) => !first.includes(n)).map(deviceControl));
  $("prices").replaceChildren(...prices.map(deviceControl));
  $("device-none").hidden = own.length > 0;
}

function usedByDevice() {
  const mine = Object.entries(DATA.combinations).filter(([key]) => key.split(",")[0] === String(state.choice[0]));
  return new Set(mine.flatMap(([, combination]) => combination.calls.flatMap((i) => CALLS[i][1])));
}

function showControls(used) {
  DATA.axes.forEach((axis, i) => { $(`axis-${axis.name}`).value = state.choice[i]; });
  for (const [name, , most] of REQUESTS) {
    const value = state.request[name], list = niceCounts(most);
    $(name).value = value;
    slide(`${name}-slider`, nearest(list, value), plain(value));
  }
  for (const number of deviceOf(state.choice).numbers) {
    const value = valueOf(number), box = $(`box-${number.argument}`);
    box.hidden = !(used.has(number.argument) || isTurned(number));
    box.classList.toggle("changed", isTurned(number));
    $(number.argument).value = value == null ? "" : mantissa(value, powerFor(number));
    if (number.dimension !== "usd") {
      const place = Math.round(8 * Math.log2(value / number.value));
      slide(`${number.argument}-slider`, Math.max(-STEPS, Math.min(STEPS, place)), textOf(number, value));
    }
  }
}

function slide(id, place, text) {
  $(id).value = place;
  $(id).setAttribute("aria-valuetext", text);
}

const textOf = (number, value) => value == null ? "not known"
  : number.dimension === "usd" ? `${dollars(value)} ${number.unit.replace("$", "")}`
    : number.dimension ? quantity(value, number.dimension) : plain(value);
