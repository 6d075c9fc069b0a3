// The end: raw numbers with their definitions, what was promised and what happened, the replay beside the expert's way.

import { get, unpacked } from "./api.js";
import { fitted, outlined, windowed } from "./drawing.js";
import { onPlane } from "./geometry.js";
import { el, filled, say } from "./rehearsal_dom.js";
import { WINDOWS } from "./rehearsal_ct.js";

function told(t, value, unit, never = false) {
  if (value === null) return never ? t.never : t.not_known;
  if (unit === "0 or 1") return value ? t.yes : t.no;
  if (unit === "uGy cm2") return `${(value / 1e6).toPrecision(3)} Gy cm²`;
  const number = Math.abs(value) < 10 && value % 1 ? value.toFixed(unit === "share" ? 2 : 1) : String(Math.round(value));
  return `${number} ${t.units[unit] ?? unit}`;
}
const spoken = (name) => name.replaceAll("_", " ");

export class Result {
  constructor(t, again) { this.t = t; this.again = again; this.element = el("div", { class: "re-result", test: "result" }); }

  async show(state, windowName) {
    const t = this.t, { result, scenario } = state;
    this.window = windowName;
    const metrics = el("table", { test: "metrics" }, el("caption", {}, t.metrics_told),
      el("thead", {}, el("tr", {}, [t.metric, t.value, t.means, t.from].map((one) => el("th", { scope: "col" }, one)))),
      el("tbody", {}, result.metrics.map((one) => el("tr", { "data-metric": one.name },
        el("th", { scope: "row" }, t.labels[one.name] || spoken(one.name)),
        el("td", { class: "re-number" }, told(t, one.value, one.unit, one.never), one.limit === null ? "" : el("div", { class: one.beyond ? "re-beyond" : "re-within" }, filled(one.beyond ? t.beyond : t.within, { limit: told(t, one.limit, one.unit), source: one.limit_source }))),
        el("td", {}, one.words), el("td", { class: "re-source" }, one.source)))));
    const rows = result.structures.map((one) => el("tr", {}, el("th", { scope: "row" }, spoken(one.name)),
      el("td", {}, one.promised_mm ? filled(t.promised_mm, { low: one.promised_mm[0], high: one.promised_mm[1] }) : one.how === "unknown" ? "" : t.not_promised),
      el("td", { class: `re-${one.how}` }, filled(t.touched[one.how], one))));
    const structures = el("table", { test: "structures" }, el("caption", {}, t.promise_against),
      el("thead", {}, el("tr", {}, [t.structure, t.promised, t.happened].map((one) => el("th", { scope: "col" }, one)))), el("tbody", {}, rows));
    const hazards = result.hazards.length ? [el("h2", {}, t.hazards), el("ul", { test: "hazards" }, result.hazards.map((one) => el("li", { class: one.came ? "re-touched" : "" }, spoken(one.words))))] : [];
    this.element.replaceChildren(
      el("h1", { test: "ending" }, filled(result.goal_met ? t.goal_met : t.goal_missed, scenario)), el("p", {}, `${spoken(result.words)}. ${t.no_mark}`),
      el("p", { class: "re-kept", test: "kept" }, result.kept || t.not_kept),
      el("div", { class: "re-columns" },
        el("div", {}, el("h2", {}, t.numbers), metrics),
        el("div", {}, el("h2", {}, t.promise), el("p", {}, `${result.promised.verdict.replace("_", " ")}: ${result.promised.headline}`), structures, ...hazards,
          el("h2", {}, t.replay), this.replayPart())),
      el("div", { class: "re-row" }, el("button", { type: "button", test: "again", onclick: () => this.again(scenario.id, state.seed + 1) }, t.again), el("button", { type: "button", test: "other", onclick: () => this.again("", 0) }, t.other)));
    await this.load();
  }

  replayPart() {
    this.views = ["along", "square"].map((kind) => {
      const canvas = el("canvas", { role: "img", "aria-label": this.t.planes[kind], test: `replay-${kind}` });
      fitted(canvas, () => this.draw());
      return { kind, canvas, picture: null };
    });
    this.slider = el("input", { type: "range", min: "0", max: "0", value: "0", test: "replay", "aria-label": this.t.replay, oninput: () => this.draw() });
    this.words = el("p", { test: "replay-words", "aria-live": "polite" });
    return el("div", {}, el("div", { class: "re-replay" }, this.views.map((one) => el("figure", {}, one.canvas, el("figcaption", {}, this.t.planes[one.kind])))),
      this.slider, this.words, el("p", { class: "re-legend" }, el("span", { class: "re-yours" }, this.t.yours), " ", el("span", { class: "re-experts" }, this.t.experts)));
  }

  async load() {
    this.steps = await (await get("rehearsal/replay", {})).json();
    for (const view of this.views) view.picture = await unpacked(await get("rehearsal/plane", { kind: view.kind }));
    const last = this.steps.steps.length - 1;
    this.slider.max = String(last);
    this.slider.value = String(Math.max(0, this.steps.steps.findLastIndex((one) => one.line_mm)));
    this.draw();
  }

  draw() {
    if (!this.steps || this.views.some((one) => !one.picture)) return;
    const at = Number(this.slider.value), step = this.steps.steps[at], { expert } = this.steps, dpr = window.devicePixelRatio || 1;
    say(this.words, `${at + 1} / ${this.steps.steps.length}   ${step.time_s} s   ${this.t.done[step.do] || spoken(step.do)}${step.words.length ? `: ${spoken(step.words.join("; "))}` : ""}`);
    for (const { canvas, picture } of this.views) {
      const c = canvas.getContext("2d"), { width, height } = canvas, scale = Math.min(width / (picture.width * picture.pixel_mm[0]), height / (picture.height * picture.pixel_mm[1]));
      const wide = picture.width * picture.pixel_mm[0] * scale, tall = picture.height * picture.pixel_mm[1] * scale;
      c.fillStyle = "#000"; c.fillRect(0, 0, width, height);
      c.drawImage(windowed(picture, WINDOWS[this.window]), (width - wide) / 2, (height - tall) / 2, wide, tall);
      const px = (point) => { const [u, v] = onPlane(picture, point); return [width / 2 + u * scale, height / 2 + v * scale]; };
      const line = (points, tint, dash) => {
        for (const [style, broad] of dash.length ? [[tint, 1.6]] : [["rgba(0,0,0,.75)", 6], [tint, 3.4]]) {
          c.strokeStyle = style; c.lineWidth = broad * dpr; c.setLineDash(dash); c.beginPath();
          points.forEach((one) => c.lineTo(...px(one))); c.stroke();
        }
        c.setLineDash([]);
      };
      if (step.line_mm) line(step.line_mm, "#F4F8FF", []);
      line([expert.entry_mm, expert.tip_mm], "#E66BD3", [7 * dpr, 5 * dpr]);
      c.strokeStyle = "#E66BD3"; c.lineWidth = 2 * dpr; c.beginPath(); c.arc(...px(expert.target_mm), 8 * dpr, 0, 7); c.stroke();
      c.font = `600 ${13 * dpr}px sans-serif`;
      const [left, right, top, bottom] = picture.letters;
      outlined(c, left, 12 * dpr, height / 2, "center", "#e8edf2"); outlined(c, right, width - 12 * dpr, height / 2, "center", "#e8edf2");
      outlined(c, top, width / 2, 12 * dpr, "center", "#e8edf2"); outlined(c, bottom, width / 2, height - 12 * dpr, "center", "#e8edf2");
      canvas.dataset.step = String(at);
    }
  }
}
