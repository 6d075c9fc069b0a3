// The learner's page: one rehearsal, what is done by mouse and keyboard, and what came of it.

import { ask, get } from "./api.js";
import { el, filled, Hand, Repeating, say } from "./rehearsal_dom.js";
import { CtView, WINDOWS } from "./rehearsal_ct.js";
import { NeedlePanel } from "./rehearsal_needle.js";
import { Result } from "./rehearsal_result.js";
import { XrayPart } from "./rehearsal_xray.js";

const root = document.getElementById("rehearsal");
const repeating = new Repeating();
let t = {}, page = null;

const POLL_MS = 400, TOLD_EVERY_MS = 1000, SCAN_MM = [20, 40, 80, 160], USUAL_SCAN_MM = 80;

class Page {
  constructor(state) {
    this.state = state;
    this.of = "plan"; this.at = state.target_mm; this.setting = false;
    this.window = state.scenario.target.includes("vertebra") || state.scenario.into_bone ? "bone" : /lung|nodule|mass/.test(state.scenario.target) ? "wide" : "soft";
    this.hand = new Hand((action) => this.send(action), (error) => tell(error.message));
    const does = (action, added) => this.hand.do(action, added);
    this.does = does;
    this.needle = new NeedlePanel(t, does, repeating, () => this.setMode(!this.setting));
    this.views = ["axial", "second"].map((name) => new CtView(this, name, t));
    this.xray = state.xray ? new XrayPart(state, t, does, () => this.state, (error) => tell(error.message), repeating) : null;
    if (this.xray) this.xray.took = (now) => this.show(now);
    this.build(state);
    this.show(state);
    this.choose("plan");
  }

  build(state) {
    const one = state.scenario, ct = one.sight.includes("ct_steps");
    this.time = el("strong", { test: "time" }); this.scanned = el("span", { test: "scanned" });
    this.series = el("select", { test: "series", "aria-label": t.series, onchange: () => this.choose(this.series.value) });
    this.windows = el("select", { test: "window", "aria-label": t.window, onchange: () => { this.window = this.windows.value; this.views.forEach((view) => view.draw()); } }, Object.keys(WINDOWS).map((name) => el("option", { value: name }, t.windows[name])));
    this.windows.value = this.window;
    const scan = ct ? el("button", { type: "button", class: "re-main", test: "scan", title: t.titles.scan, onclick: () => this.scan() }, t.buttons.scan) : "";
    this.lengths = ct ? el("select", { test: "scan-length" }, SCAN_MM.map((mm) => el("option", { value: mm }, `${mm} mm`))) : "";
    if (ct) this.lengths.value = String(USUAL_SCAN_MM);
    const facts = [one.side ? filled(t.side, { side: t.sides[one.side] || one.side }) : "", one.level ? filled(t.level, one) : "", filled(t.lies, { position: t.positions[one.position] || t.positions.unknown }), one.device, one.throw_mm ? filled(t.throws, one) : "", one.zone ? filled(t.zone, one.zone) : ""];
    const biplane = this.xray && this.xray.planes.length > 1;
    this.stage = el("div", { class: `re-stage ${this.xray ? (biplane ? "re-biplane" : "re-fluoro") : "re-ct"}` }, this.xray ? this.xray.planes.map((plane) => plane.element) : "", this.views.map((view) => view.element));
    root.className = "re";
    root.replaceChildren(
      el("header", { class: "re-head" },
        el("div", { class: "re-title" }, el("h1", {}, one.title), el("p", {}, one.words), el("p", { class: "re-facts" }, facts.filter(Boolean).join("  ·  "))),
        el("p", { class: "re-note", test: "note" }, t.schematic),
        el("dl", { class: "re-clock" }, el("div", {}, el("dt", {}, t.time), el("dd", {}, this.time))),
        el("div", { class: "re-row" }, el("button", { type: "button", test: "keys", onclick: () => keys.showModal() }, t.buttons.keys), el("button", { type: "button", class: "re-main", test: "finish", title: t.titles.finish, onclick: () => this.finish() }, t.buttons.finish))),
      el("div", { class: "re-body" }, this.needle.element,
        el("div", { class: "re-middle" }, el("div", { class: "re-bar" }, el("label", {}, `${t.series} `, this.series), el("label", {}, `${t.window} `, this.windows), el("button", { type: "button", test: "to-target", onclick: () => this.go(this.state.target_mm) }, t.buttons.to_target), scan, ct ? el("label", { title: t.titles.scan_length }, `${t.scan_length} `, this.lengths) : "", this.scanned), this.stage),
        this.xray ? this.xray.element : ""));
    this.result = new Result(t, (scenario, seed) => begin(scenario, seed, this.state.difficulty));
  }

  async send(action) {
    const asked = this.state.scans.length;
    const now = await ask("rehearsal/act", { ...action, attempt: this.state.key });
    this.show(now);
    if (now.scans.length > asked) this.choose(String(now.scans.length));
    if (action.do === "set" || action.do === "take") this.setMode(false);
  }

  show(state) {
    this.state = state;
    this.taken = performance.now();
    if (state.state === "ended") { this.end(); return; }
    this.needle.show(state);
    if (this.xray) this.xray.show(state);
    const wanted = ["plan", ...state.scans.map((one) => String(one.number))];
    if (this.offered !== wanted.join()) {
      this.offered = wanted.join();
      this.series.replaceChildren(...wanted.map((one) => el("option", { value: one }, this.title(one))));
      this.series.value = this.of;
    }
    say(this.scanned, state.scans.length ? filled(t.scanned, { count: state.scans.length, dose: Math.round(state.ct_mgy_cm) }) : "");
    this.views.forEach((view) => view.draw());
  }

  // What a series is: the CT of before, or the last control scan, when and how it was made.
  title(of) {
    if (of === "plan") return t.planning_ct;
    const scan = this.state.scans[Number(of) - 1];
    return filled(this.state.scenario.breath ? (scan.held ? t.scan_held : t.scan_free) : t.scan, scan);
  }

  marks(of) {
    const { tracked } = this.state, plan = of === "plan";
    return { ring: plan ? this.state.target_mm : null, offered: plan && !this.state.needle ? this.state.offered_mm : null, line: tracked && tracked.line_mm, plan: tracked && tracked.plan };
  }

  choose(of) {
    this.of = of;
    this.series.value = of;
    const scan = this.state.scans[Number(of) - 1];
    if (scan) this.at = scan.about_mm;
    this.views[1].offer(Boolean(scan && scan.needle));
    this.views[0].offer(false);
    this.views[1].cut = scan && scan.needle ? "along" : "sagittal";
    this.views.forEach((view) => view.ask());
  }

  // So much of the patient, head to foot, about the needle's tip.
  scan() { this.does({ do: "ct_scan", length_mm: Number(this.lengths.value) }); }

  go(at) { this.at = at; this.views.forEach((view) => view.ask()); }

  setMode(on) {
    this.setting = on;
    this.needle.setButton.setAttribute("aria-pressed", String(on));
    this.stage.classList.toggle("re-setting", on);
    if (on) tell(t.how_to_set);
  }

  set(point, direction) { this.does({ do: "set", point, ...(direction ? { direction } : {}) }); }

  failed(error) { tell(error.message); }

  finish() { asked.showModal(); }

  async end() {
    if (this.over) return;
    this.over = true;
    repeating.endAll();
    if (this.xray) this.xray.closed = true;
    root.querySelector(".re-body").replaceChildren(this.result.element);
    root.querySelector("[data-test=finish]").remove();
    await this.result.show(this.state, this.window);
  }

  tick() {
    if (this.over) return;
    const s = this.state.time_s + (performance.now() - this.taken) / 1000;
    say(this.time, `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, "0")} min`);
  }
}

// One key each; held ones repeat. [action, what adds up], or a call.
function byKey(event) {
  const far = event.shiftKey, x = page.xray, key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const tilt = (towards) => [{ do: "tilt", towards, deg: far ? 5 : 1 }, ["deg"]], push = (mm) => [{ do: "advance", mm: far ? 5 * mm : mm }, ["mm"]];
  const table = {
    w: push(1), s: push(-1), ArrowUp: tilt("head"), ArrowDown: tilt("feet"), ArrowLeft: tilt("anticlockwise"), ArrowRight: tilt("clockwise"),
    e: [{ do: "turn", deg: 15 }, ["deg"]], q: [{ do: "turn", deg: -15 }, ["deg"]], r: () => page.does({ do: "turn", deg: 180 }), o: () => page.does({ do: "take" }), a: () => page.setMode(!page.setting),
    b: () => page.state.breath && page.does({ do: page.needle.holds ? "breathe" : "hold_breath" }), c: () => page.state.scenario.sight.includes("ct_steps") && page.scan(),
    i: () => page.xray && page.does({ do: "inject", ml: 1 }), f: () => page.does({ do: "fire" }), g: () => page.finish(), t: () => page.go(page.state.target_mm),
    ",": { call: () => page.views[0].step(-1) }, ".": { call: () => page.views[0].step(1) }, "?": () => keys.showModal(), Escape: () => page.setMode(false),
  };
  if (x) {
    Object.assign(table, {
      j: { call: () => x.turn(-1, 0, event) }, l: { call: () => x.turn(1, 0, event) }, u: { call: () => x.turn(0, 1, event) }, n: { call: () => x.turn(0, -1, event) },
      p: () => { if (x.planes.length > 1) { x.which.value = String(1 - x.chosen); x.chosen = 1 - x.chosen; x.show(page.state); } }, v: () => page.does({ do: "save_view" }),
      x: () => x.press(),
    });
    for (let n = 1; n <= 9; n++) table[n] = () => n <= page.state.xray.saved.length && x.recall(n - 1);
  }
  return table[key];
}

const writes = (target) => target.closest && target.closest("input, select, textarea, dialog[open]");

function down(event) {
  if (!page || page.over || event.ctrlKey || event.metaKey || event.altKey || writes(event.target) || document.querySelector("dialog[open]")) return;
  const found = byKey(event);
  if (!found) return;
  event.preventDefault();
  if (event.repeat) return;
  const call = Array.isArray(found) ? () => page.does(...found) : found.call && typeof found !== "function" ? found.call : found;
  repeating.begin(event.code, call, Array.isArray(found) || typeof found !== "function");
}

function up(event) {
  repeating.end(event.code);
  if (page && page.xray && event.key.toLowerCase() === "x") page.xray.release();
}

function away() {
  repeating.endAll();
  if (page && page.xray) page.xray.release();
}

// Words to the learner, for a while.
const messages = el("div", { class: "re-messages", role: "status", test: "messages" });
function tell(words) {
  const one = el("p", {}, words);
  messages.append(one);
  while (messages.children.length > 3) messages.firstChild.remove();
  setTimeout(() => one.remove(), 7000);
}

let keys = null, asked = null;
function dialogs() {
  keys = el("dialog", { "aria-label": t.buttons.keys, test: "keys-told" }, el("h2", {}, t.buttons.keys), el("dl", { class: "re-keys" }, t.keys.map(([key, words]) => el("div", {}, el("dt", {}, key), el("dd", {}, words)))), el("form", { method: "dialog" }, el("button", {}, t.close)));
  asked = el("dialog", { "aria-label": t.buttons.finish, test: "finish-asked" }, el("p", {}, t.finish_asked), el("form", { method: "dialog", class: "re-row" },
    el("button", { class: "re-main", test: "finish-yes", onclick: () => page.does({ do: "finish" }) }, t.buttons.finish), el("button", {}, t.go_on)));
  document.body.append(messages, keys, asked);
}

async function begin(scenario, seed, difficulty = "") {
  const shown = page ? page.state.key : "";
  if (page && page.xray) page.xray.closed = true;
  page = null;
  try { await ask("rehearsal/begin", { instead_of: shown, scenario, seed, difficulty: scenario ? difficulty : "" }); } catch (error) { tell(error.message); }
  await look();
}

// What the server has in hand, until a rehearsal goes on.
async function look() {
  let state;
  try { state = await (await get("rehearsal/state", {})).json(); } catch (error) { tell(error instanceof TypeError ? t.gone : error.message); setTimeout(look, 2000); return; }
  root.className = "re-choose";
  if (state.state === "making") {
    root.replaceChildren(el("h1", {}, state.title), el("p", { role: "status" }, `${t.making} ${state.words} …`), el("progress", { max: "1", value: String(state.share), "aria-label": t.making }), el("p", {}, t.schematic));
    setTimeout(look, POLL_MS);
  } else if (state.state === "choose") choose(state);
  else page = new Page(state);
}

function choose(state) {
  const seed = el("input", { type: "number", min: "0", max: "999999", value: "0", test: "seed" });
  root.replaceChildren(el("h1", {}, t.choose), el("p", {}, t.schematic), state.failed ? el("p", { class: "re-touched", role: "alert" }, state.failed) : "", el("label", {}, `${t.seed} `, seed),
    el("ul", { class: "re-scenarios" }, state.scenarios.map((one) => el("li", {}, el("h2", {}, one.title), el("p", {}, one.words),
      el("div", { class: "re-row" }, ["", ...one.difficulties].map((name) => el("button", { type: "button", class: name ? "" : "re-main", test: `scenario-${one.id}${name ? `-${name}` : ""}`, "aria-label": `${one.title}: ${name || t.as_it_stands}`, onclick: () => begin(one.id, Number(seed.value) || 0, name) }, name || t.as_it_stands)))))));
}

async function start() {
  t = (await (await fetch("__navplan/words.json")).json()).rehearsal;
  dialogs();
  addEventListener("keydown", down);
  addEventListener("keyup", up);
  addEventListener("blur", away);
  let byHand = false;  // a list that was chosen from by mouse gives the keys back
  addEventListener("pointerdown", () => { byHand = true; }, true);
  addEventListener("keydown", () => { byHand = false; }, true);
  addEventListener("change", (event) => { if (byHand && event.target.tagName === "SELECT") event.target.blur(); });
  setInterval(() => page && page.tick(), 250);
  setInterval(async () => {  // so that the breath and a shared rehearsal stay those of the server
    if (!page || page.over || page.hand.busy) return;
    try {
      const state = await (await get("rehearsal/state", {})).json();
      if (state.state === "choose" || state.state === "making") { page = null; look(); } else if (page && !page.hand.busy) page.show(state);
    } catch (error) { tell(t.gone); }
  }, 5 * TOLD_EVERY_MS);
  await look();
}

start();
