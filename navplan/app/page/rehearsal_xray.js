// The C-arm: pictures live while the pedal is down, else the last one held; dials, table, collimator, saved views.

import { ask, get, unpacked } from "./api.js";
import { fitted, inGrey, outlined } from "./drawing.js";
import { el, filled, held, say } from "./rehearsal_dom.js";

const FIELDS = [0, 200, 150, 100, 60], ZOOMS = [0, 250, 200, 150], TAP_MS = 220, BOTH = 2;

class Plane {
  constructor(number, t) {
    Object.assign(this, { number, t, picture: null, seen: 0, frames: 0, live: false });
    this.canvas = el("canvas", { role: "img", test: `xray-${number}`, "aria-label": t.no_picture });
    this.element = el("section", { class: "re-view", "data-view": `xray-${number}` }, this.canvas);
    fitted(this.canvas, () => this.draw());
  }

  async next() {
    const response = await get("rehearsal/frame", { plane: this.number, after: this.seen });
    if (response.status === 204) return false;
    this.picture = await unpacked(response, Uint8Array);
    this.seen = this.picture.number;
    this.frames += this.picture.live ? 1 : 0;
    this.canvas.dataset.frames = String(this.frames);
    this.canvas.dataset.number = String(this.seen);
    this.draw();
    return true;
  }

  draw() {
    const c = this.canvas.getContext("2d"), { width, height } = this.canvas, dpr = window.devicePixelRatio || 1, p = this.picture, t = this.t;
    c.fillStyle = "#000"; c.fillRect(0, 0, width, height);
    if (!p) { c.font = `${14 * dpr}px sans-serif`; outlined(c, t.no_picture, width / 2, height / 2, "center", "#a9b4c0"); return; }
    this.kept = inGrey({ ...p, nothing: -1 }, 0, 1, this.kept);
    const side = Math.min(width, height), x = (width - side) / 2, y = (height - side) / 2, px = side / p.width, edge = 15 * dpr;
    c.imageSmoothingEnabled = true;
    c.drawImage(this.kept, x, y, side, side);
    c.font = `700 ${16 * dpr}px sans-serif`;
    const [left, right, top, bottom] = p.letters, mid = y + side / 2;
    outlined(c, left, x + edge, mid, "center", "#e8edf2"); outlined(c, right, x + side - edge, mid, "center", "#e8edf2");
    outlined(c, top, x + side / 2, y + edge, "center", "#e8edf2"); outlined(c, bottom, x + side / 2, y + side - edge, "center", "#e8edf2");
    c.font = `600 ${13 * dpr}px sans-serif`;
    outlined(c, `${this.name ? `${this.name}  ` : ""}${p.words}`, x + 10 * dpr, y + 16 * dpr, "left", "#e8edf2");
    outlined(c, p.live ? t.live : t.held, x + 10 * dpr, y + 36 * dpr, "left", p.live ? "#f0d030" : "#e8edf2");
    if (p.marker) outlined(c, filled(t.at_detector, { side: t.sides[p.marker] }), x + 10 * dpr, y + 56 * dpr, "left", "#e8edf2");
    const mm = [100, 50, 20, 10].find((one) => (one / p.pixel_mm) * px < side / 3) || 10, bar = (mm / p.pixel_mm) * px, low = y + side - 14 * dpr;
    c.strokeStyle = "#f4f8ff"; c.lineWidth = 2 * dpr; c.beginPath(); c.moveTo(x + 10 * dpr, low); c.lineTo(x + 10 * dpr + bar, low); c.stroke();
    c.font = `${12 * dpr}px sans-serif`;
    outlined(c, filled(t.at_isocentre, { mm }), x + 10 * dpr, low - 12 * dpr, "left", "#e8edf2");
    outlined(c, p.exposure, x + side - 10 * dpr, low, "right", "#e8edf2");
    this.canvas.setAttribute("aria-label", filled(t.shot_told, { words: p.words, live: p.live ? t.live : t.held, left, right }));
  }
}

export class XrayPart {
  // does(action, added); told(state): the newest state; failed(error).
  constructor(state, t, does, told, failed, repeating) {
    Object.assign(this, { t, does, told, failed, on: false, pressedAt: 0, timer: 0, chosen: 0 });
    this.planes = state.xray.planes.map((one) => new Plane(one.plane, t));
    if (this.planes.length > 1) this.planes.forEach((one) => { one.name = t.planes[one.number]; });
    this.element = this.panel(state, repeating);
    this.planes.forEach((one) => this.loop(one));
  }

  panel(state, repeating) {
    const t = this.t, turn = (name, primary, secondary) => held(t.buttons[name], name, t.titles[name], (event) => this.turn(primary, secondary, event), repeating);
    const table = (name, by) => held(t.buttons[name], name, t.titles[name], () => this.does({ do: "carm", plane: this.chosen, table: by }, ["table"]), repeating);
    const choice = (name, values, words) => {
      const select = el("select", { test: name, onchange: () => this.does({ do: "carm", plane: this.chosen, [name]: Number(select.value) }) }, values.map((one) => el("option", { value: one }, words(one))));
      return (this[name] = select);
    };
    this.dials = el("p", { class: "re-dials", test: "dials", "aria-live": "polite" });
    this.dose = el("dl", { class: "re-dose", test: "dose" });
    this.pedal = el("button", { type: "button", class: "re-pedal", test: "pedal", title: t.titles.pedal }, t.buttons.pedal);
    this.pedal.addEventListener("pointerdown", (event) => { if (!event.button) { this.pedal.setPointerCapture(event.pointerId); this.press(); } });
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) this.pedal.addEventListener(end, () => this.release());
    this.rate = el("select", { test: "rate" }, state.xray.rates.map((one) => el("option", { value: one }, filled(t.per_second, { rate: one }))));
    this.rate.value = String(state.xray.pulses_per_s);
    this.which = el("select", { test: "plane", onchange: () => { this.chosen = Number(this.which.value); this.show(this.told()); } }, this.planes.map((one) => el("option", { value: one.number }, t.planes[one.number])));
    this.beam = el("select", { test: "beam" }, [...this.planes.map((one) => [one.number, t.planes[one.number]]), ...(this.planes.length > 1 ? [[BOTH, t.both]] : [])].map(([value, words]) => el("option", { value }, words)));
    this.beam.value = String(this.planes.length > 1 ? BOTH : 0);
    this.saved = el("div", { class: "re-row", test: "saved" });
    const label = (words, inside) => el("label", {}, `${words} `, inside);
    return el("aside", { class: "re-carm", test: "carm" },
      el("section", {}, el("h2", {}, t.pedal), this.pedal, el("div", { class: "re-row" }, this.planes.length > 1 ? label(t.xrays_of, this.beam) : "", label(t.rate, this.rate)), this.dose, el("p", { class: "re-source" }, t.estimated)),
      el("section", {}, el("h2", {}, t.carm), this.planes.length > 1 ? label(t.turns, this.which) : "", this.dials,
        el("div", { class: "re-row" }, turn("rao", -1, 0), turn("lao", 1, 0), turn("cra", 0, 1), turn("cau", 0, -1)),
        el("div", { class: "re-row" }, label(t.field, choice("field", FIELDS, (mm) => (mm ? `${mm} mm` : t.open))), label(t.zoom, choice("zoom", ZOOMS, (mm) => (mm ? `${mm} mm` : t.whole))))),
      el("section", {}, el("h2", {}, t.table), el("div", { class: "re-row re-three" }, table("table-left", [-10, 0, 0]), table("table-right", [10, 0, 0]), table("table-head", [0, 10, 0]), table("table-feet", [0, -10, 0]), table("table-up", [0, 0, 10]), table("table-down", [0, 0, -10]))),
      el("section", {}, el("h2", {}, t.views), el("div", { class: "re-row" }, el("button", { type: "button", test: "save-view", title: t.titles.save, onclick: () => this.does({ do: "save_view" }) }, t.buttons.save)), this.saved));
  }

  turn(primary, secondary, event) {
    const by = event && event.shiftKey ? 10 : 1;
    this.does({ do: "carm", plane: this.chosen, turn: [primary * by, secondary * by] }, ["turn"]);
  }

  recall(number) { this.does({ do: "recall_view", number, plane: this.chosen }); }

  show(state) {
    const t = this.t, here = state.xray.planes.find((one) => one.plane === this.chosen);
    say(this.dials, `${here.words}${here.dial_words && here.dial_words !== here.words ? `  (${filled(t.dial, { words: here.dial_words })})` : ""}`);
    this.field.value = String(here.field_mm); this.zoom.value = String(here.zoom_mm);
    const dose = state.xray.dose || { kerma_mgy: 0, dap_gy_cm2: 0 };
    const rows = [[t.shots, state.xray.shots], [t.beam_s, `${state.xray.seconds.toFixed(1)} s`], [t.kerma, `${dose.kerma_mgy.toPrecision(3)} mGy`], [t.dap, `${dose.dap_gy_cm2.toPrecision(3)} Gy cm²`]];
    this.dose.replaceChildren(...rows.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, String(value))]));
    this.saved.replaceChildren(...state.xray.saved.map((words, number) => el("button", { type: "button", test: `view-${number}`, onclick: () => this.recall(number) }, `${number + 1}: ${words}`)));
    for (const one of this.planes) one.wanted = state.xray.planes.find((plane) => plane.plane === one.number).picture;
  }

  // Held down: live; a tap: one shot.
  press() {
    if (this.pressedAt) return;
    this.pressedAt = performance.now();
    this.timer = setTimeout(() => this.switched(Number(this.beam.value)), TAP_MS);
  }

  release() {
    if (!this.pressedAt) return;
    clearTimeout(this.timer);
    this.pressedAt = 0;
    if (this.on) this.switched(null);
    else this.does({ do: "shot", plane: Number(this.beam.value) });
  }

  // One after the other: a pedal that is let go before the server knows that it was pressed must end let go.
  switched(plane) {
    this.on = plane !== null;
    this.pedal.setAttribute("aria-pressed", String(this.on));
    this.sent = (this.sent || Promise.resolve()).then(() => ask("rehearsal/press", { attempt: this.told().key, plane, pulses_per_s: Number(this.rate.value) })).then((state) => this.took(state), (error) => { this.on = false; this.failed(error); });
  }

  runs(plane) { const beam = Number(this.beam.value); return this.on && (beam === BOTH || beam === plane.number); }

  async loop(plane) {
    for (;;) {
      try {
        const news = this.runs(plane) || (plane.wanted && plane.wanted !== plane.seen) || (plane.picture && plane.picture.live);
        if (this.closed) return;
        if (!news || !(await plane.next())) await new Promise((done) => setTimeout(done, 30));
      } catch (error) { this.failed(error); await new Promise((done) => setTimeout(done, 500)); }
    }
  }
}
