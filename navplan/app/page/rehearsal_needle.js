// The needle in the learner's hand: depth, force, angles, bevel; breath; what the hand noticed.

import { fitted } from "./drawing.js";
import { el, filled, held, say } from "./rehearsal_dom.js";

const MOST_N = 10;

export class NeedlePanel {
  // does(action, added): what the hand does.
  constructor(t, does, repeating, setting) {
    this.t = t;
    const button = (name, action, added = []) => held(t.buttons[name], name, t.titles[name] || t.buttons[name], () => does(action, added), repeating);
    const push = (mm) => button(mm > 0 ? `push-${mm}` : `pull${mm}`, { do: "advance", mm }, ["mm"]);
    const tilt = (towards) => button(towards, { do: "tilt", towards, deg: 1 }, ["deg"]);
    const once = (name, action) => el("button", { type: "button", test: name, title: t.titles[name], onclick: () => does(action) }, t.buttons[name]);
    this.depth = el("strong", { test: "depth" }, "–");
    this.depthBar = el("canvas", { class: "re-depth", role: "img", "aria-label": t.depth, test: "depth-bar" });
    this.force = el("meter", { min: "0", max: String(MOST_N), low: "2", high: "6", optimum: "0", value: "0", "aria-label": t.force });
    this.feels = el("span", { test: "feels" });
    this.angles = el("p", { class: "re-angles", test: "angles" });
    this.setButton = el("button", { type: "button", test: "set", title: t.titles.set, "aria-pressed": "false", onclick: setting }, t.buttons.set);
    this.breathCanvas = el("canvas", { class: "re-breath", role: "img", "aria-label": t.breath });
    this.breathButton = el("button", { type: "button", test: "breath", onclick: () => does({ do: this.holds ? "breathe" : "hold_breath" }) }, t.buttons.hold);
    this.breathPart = el("section", {}, el("h2", {}, t.breath), this.breathCanvas, this.breathButton);
    this.said = el("ol", { class: "re-said", test: "said", "aria-live": "polite" });
    this.element = el("aside", { class: "re-hand" },
      el("section", {}, el("h2", {}, t.on_skin), el("div", { class: "re-row" }, once("take", { do: "take" }), this.setButton)),
      el("section", { test: "needle-panel" }, el("h2", {}, t.needle),
        el("div", { class: "re-depthrow" }, this.depthBar, el("div", {}, el("p", {}, `${t.depth}: `, this.depth), el("p", {}, `${t.force}: `, this.feels), this.force, this.angles)),
        el("div", { class: "re-row" }, push(1), push(5), push(-1), push(-5)),
        el("div", { class: "re-row" }, tilt("head"), tilt("feet")), el("div", { class: "re-row" }, tilt("anticlockwise"), tilt("clockwise")),
        el("div", { class: "re-row" }, button("turn-15", { do: "turn", deg: 15 }, ["deg"]), once("turn180", { do: "turn", deg: 180 }))),
      this.breathPart,
      el("section", {}, el("h2", {}, t.done_with), el("div", { class: "re-row" }, (this.inject = once("inject", { do: "inject", ml: 1 })), (this.fire = once("fire", { do: "fire" })))),
      el("section", { class: "re-grow" }, el("h2", {}, t.noticed), this.said));
    this.element.querySelector("[data-test=needle-panel]").addEventListener("wheel", (event) => {
      event.preventDefault();
      if (event.deltaY) does({ do: "advance", mm: (event.deltaY > 0 ? 1 : -1) * (event.shiftKey ? 5 : 1) }, ["mm"]);
    }, { passive: false });
    fitted(this.depthBar, () => this.drawDepth());
    fitted(this.breathCanvas, () => this.drawBreath());
    setInterval(() => this.drawBreath(), 100);
  }

  show(state) {
    const t = this.t, needle = state.needle;
    this.state = state;
    this.taken = performance.now();
    say(this.depth, needle ? `${needle.inserted_mm.toFixed(1)} mm` : t.not_placed);
    say(this.feels, needle ? `${t.feels[needle.feels]}, ${needle.force_n.toFixed(1)} N` : "–");
    this.force.value = needle ? Math.min(needle.force_n, MOST_N) : 0;
    say(this.angles, `${needle ? filled(t.angles, needle) : ""}${state.tracked && state.tracked.line_mm ? `\n${filled(t.to_go, { mm: state.tracked.to_target_mm.toFixed(0) })}` : ""}`);
    this.breathPart.hidden = !state.breath;
    this.inject.hidden = !state.xray;  // a control scan does not show contrast medium
    say(this.fire, t.fires[state.scenario.goal]);
    this.holds = Boolean(state.breath && state.breath.held);
    say(this.breathButton, this.holds ? t.buttons.breathe : t.buttons.hold);
    this.said.replaceChildren(...state.said.map((one) => el("li", {}, `${one.time_s} s  ${one.words}`)));
    this.drawDepth();
    this.drawBreath();
  }

  // The shaft with its marks: each 10 mm, and how deep it is.
  drawDepth() {
    const canvas = this.depthBar, c = canvas.getContext("2d"), { width, height } = canvas, dpr = window.devicePixelRatio || 1;
    c.clearRect(0, 0, width, height);
    if (!this.state) return;
    const long = this.state.scenario.length_mm, top = 8 * dpr, tall = height - 16 * dpr, x = width * 0.4, inserted = this.state.needle ? this.state.needle.inserted_mm : 0;
    const y = (mm) => top + (tall * mm) / long;
    c.fillStyle = "#33404e"; c.fillRect(x - 5 * dpr, top, 10 * dpr, tall);
    c.fillStyle = "#8fbeff"; c.fillRect(x - 5 * dpr, top, 10 * dpr, (tall * inserted) / long);
    c.strokeStyle = "#a9b4c0"; c.fillStyle = "#e8edf2"; c.font = `${11 * dpr}px sans-serif`; c.textBaseline = "middle"; c.lineWidth = dpr;
    for (let mm = 0; mm <= long; mm += 10) {
      const far = mm % 50 === 0;
      c.beginPath(); c.moveTo(x + 6 * dpr, y(mm)); c.lineTo(x + (far ? 14 : 10) * dpr, y(mm)); c.stroke();
      if (far) c.fillText(String(mm), x + 17 * dpr, y(mm));
    }
  }

  drawBreath() {
    const canvas = this.breathCanvas, c = canvas.getContext("2d"), { width, height } = canvas, dpr = window.devicePixelRatio || 1, state = this.state;
    c.clearRect(0, 0, width, height);
    if (!state || !state.breath) return;
    const { from_s, step_s, phase } = state.breath, now = state.time_s + (performance.now() - this.taken) / 1000, wide = 16;
    const x = (s) => width * (0.5 + (s - now) / wide), y = (one) => height - 6 * dpr - one * (height - 12 * dpr);
    c.strokeStyle = "#8fbeff"; c.lineWidth = 2 * dpr; c.beginPath();
    phase.forEach((one, n) => { const s = from_s + n * step_s; if (s <= now) c.lineTo(x(s), y(one)); });
    c.stroke();
    const at = phase[Math.min(phase.length - 1, Math.max(0, Math.round((now - from_s) / step_s)))];
    c.fillStyle = "#f4f8ff"; c.beginPath(); c.arc(width / 2, y(at), 4 * dpr, 0, 7); c.fill();
    c.fillStyle = "#a9b4c0"; c.font = `${11 * dpr}px sans-serif`; c.textBaseline = "bottom"; c.fillText(this.t.as_in_image, width / 2 + 8 * dpr, height - 2 * dpr);
  }
}
