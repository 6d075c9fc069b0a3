// What the rehearsal's parts share: elements, buttons that repeat while they are held, requests that add up.

export function el(tag, set = {}, ...inside) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(set)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "test") made.dataset.test = value;
    else if (value === true || value === false) made.toggleAttribute(key, value);
    else if (value !== undefined && value !== null) made.setAttribute(key, value);
  }
  made.append(...inside.flat().filter((one) => one !== null && one !== undefined && one !== ""));
  return made;
}

// Words with {names} filled in.
export const filled = (words, values = {}) => words.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");

export function say(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

const EVERY_MS = 170, AFTER_MS = 320;

// Calls at once, and again and again until it is let go. Each `held` of one key or button is one of these.
export class Repeating {
  constructor() { this.timers = new Map(); }

  begin(name, call, repeats = true) {
    if (this.timers.has(name)) return;
    call();
    const again = () => { call(); this.timers.set(name, setTimeout(again, EVERY_MS)); };
    this.timers.set(name, repeats ? setTimeout(again, AFTER_MS) : 0);
  }

  end(name) {
    clearTimeout(this.timers.get(name));
    this.timers.delete(name);
  }

  endAll() { [...this.timers.keys()].forEach((name) => this.end(name)); }
}

// A button that repeats while it is held; by keyboard each press is one.
export function held(words, test, title, call, repeating) {
  const button = el("button", { type: "button", test, title }, words);
  button.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    button.setPointerCapture(event.pointerId);
    repeating.begin(button, () => call(event));
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) button.addEventListener(end, () => repeating.end(button));
  button.addEventListener("click", (event) => { if (!event.detail) call(event); });  // by keyboard
  return button;
}

// Requests one after another; what of one kind comes meanwhile is added up and goes as one.
export class Hand {
  constructor(send, failed) { Object.assign(this, { send, failed, waiting: [], busy: false }); }

  do(action, added = []) {
    const last = this.waiting.at(-1);
    if (last && added.length && last.added.join() === added.join() && same(last.action, action, added)) {
      for (const key of added) last.action[key] = sum(last.action[key], action[key]);
    } else this.waiting.push({ action: { ...action }, added });
    return this.next();
  }

  async next() {
    if (this.busy) return;
    this.busy = true;
    try {
      while (this.waiting.length) {
        const { action } = this.waiting.shift();
        try { await this.send(action); } catch (error) { this.waiting.length = 0; this.failed(error); }
      }
    } finally { this.busy = false; }
  }
}

const same = (a, b, added) => Object.keys({ ...a, ...b }).every((key) => added.includes(key) || JSON.stringify(a[key]) === JSON.stringify(b[key]));
const sum = (a, b) => (Array.isArray(a) ? a.map((one, n) => one + b[n]) : a + b);
