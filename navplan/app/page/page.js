// The page: one Vue component. What is shown comes from the server's document; only looks (cursor, window, camera, layout)
// are kept here, in this tab.

import { Latest, Refusal, act, ask, onPage, shown } from "./api.js";
import { add, length, sub, unit } from "./geometry.js";
import anatomyEdit from "./anatomy_edit.js";
import anatomyList from "./anatomy_list.js";
import anatomySegment from "./anatomy_segment.js";
import bullseye from "./bullseye_view.js";
import depth from "./depth_view.js";
import fluoro from "./fluoro_view.js";
import fusionPanel from "./fusion_panel.js";
import fusionState, { OVER, firstWindow } from "./fusion_state.js";
import { Guide } from "./guide.js";
import guideFluoro from "./guide_fluoro.js";
import guidePanel from "./guide_panel.js";
import guidePlane from "./guide_plane.js";
import inbox from "./inbox.js";
import { OUTLINE, OUTLINE_RGB } from "./interactive.js";
import interactivePanel from "./interactive_panel.js";
import linked from "./linked_slice.js";
import realShots from "./real_shots.js";
import scene from "./scene_view.js";
import slice from "./slice_view.js";
import strip from "./strip_view.js";

const here = (name) => new URL(name, import.meta.url);
let t = {};  // the page's words, once they are here

const WINDOWS = { lung: [-600, 1500], soft: [40, 400], bone: [400, 1800], wide: [-350, 1400] };
// Lung and its walls need the wide window; elsewhere it washes soft tissue out.
const windowFor = (way) => (way && way.strip.sections.some((one) => (one.spoken || "").includes("lung")) ? WINDOWS.wide : WINDOWS.soft);
const SLABS = [0, 10, 20, 40];
const GUIDING = ["1", "2", "3", "4", "5", "x", "h", "o", "?"];  // keys of layout Guide, beside those of windows
const UNMOVED = { depth_mm: 0, aside_mm: [0, 0], tilt_deg: [0, 0], seen: true };  // a rehearsal's needle, as it begins
const LONGEST_SILENCE_MS = 20000;  // of a server that is only slow: after that the page is loaded anew
const KEPT = "navplan-looks";
// What this tab kept of a case: of another that is served at the same address it has nothing.
function keptOf(doc) {
  const kept = JSON.parse(sessionStorage.getItem(KEPT) || "{}");
  return kept.case === nameOf(doc) ? kept : {};
}
const nameOf = (doc) => `${doc.case.key}/${doc.case.id}`;

const page = {
  props: { doc: Object, progress: Object, inbox: { type: Array, default: null }, interactive: Object, segmenting: { type: Object, default: () => ({ state: "idle" }) } },
  components: { "nav-slice": slice, "nav-scene": scene, "nav-strip": strip, "nav-fluoro": fluoro, "nav-bullseye": bullseye, "nav-depth": depth, "nav-guide-plane": guidePlane, "nav-guide-panel": guidePanel, "nav-guide-fluoro": guideFluoro, "nav-inbox": inbox, "nav-interactive": interactivePanel, "nav-structures": anatomyList, "nav-segment": anatomySegment, "nav-edit": anatomyEdit, "nav-fusion": fusionPanel, "nav-linked": linked, "nav-real-shots": realShots },
  mixins: [fusionState],
  provide() { return { nav: this }; },
  data() {
    const kept = keptOf(this.doc);
    return {
      t, drag: null, live: null, help: false, gone: false, actions: 0, remarks: kept.remarks ?? this.doc.draft.remarks, messages: [...this.doc.notes], filter: "", openStep: kept.openStep || this.firstStep(),
      absent: { name: "", who: "" }, edit: { name: "", radius: 5, low: 100, high: 300, whole: false, mm: 2, ml: 1, slices: "axial", other: "", opened: 0, ...kept.edit },
      seeding: { segmenter: "", structure: "", other: false, seeds: [], ...kept.seeding }, absentOpen: false, drawnOut: false, acknowledged: [], who: kept.who || "", reason: kept.reason || "", pages: [], why: null, comparison: null, timings: {}, wish: { ...UNMOVED },
      ui: {
        layout: this.doc.way ? "plan" : "slices", tool: "navigate", window: firstWindow(this.doc, windowFor(this.doc.way)), slab: 0, outlines: true, carm: false, carmName: "generic", drawn: 0, text: 1, measures: [],
        big: "", home: 0, reset: 0, depth: null, cursor: this.doc.way ? [...this.doc.way.target_mm] : this.doc.case.middle_mm || [0, 0, 0], ...kept.ui,
        over: { ...OVER, ...(kept.ui && kept.ui.over) },
      },
    };
  },
  computed: {
    busy() { return this.actions > 0; },
    // What is said of the way, which changes as often as an answer comes; the needle itself follows the hand.
    told() { return this.dragging ? this.live || unjudged(this.doc.way, t.being_judged) : this.doc.way; },
    dragging() { return Boolean(this.drag && this.doc.way); },
    way() {
      if (!this.drag || !this.doc.way) return Vue.toRaw(this.doc.way);  // never changed in place: no proxies of its curves
      const seen = this.told, entry = this.drag.entry || seen.entry_mm, target = this.drag.target || seen.target_mm;
      return { ...seen, ...needle(entry, target, this.doc.way) };
    },
    guiding() { return this.ui.layout === "guide"; },
    // Where the tracked needle is now; null wherever that is not known.
    liveAt() { const { now } = this.guide.seen; return now ? now.at : null; },
    broken() {  // why it fails, said beside the verdict
      const fails = (one) => one.verdict === "FAIL", way = this.way, first = way.open.find(fails);
      return first ? onPage(first.words) : onPage((way.findings.find(fails) || { line: "" }).line);
    },
    wayKey() {
      const d = this.doc.draft;
      return [this.doc.case.revision, d.plan_id, d.way, d.entry_mm, d.moved_aim_mm].join("/");
    },
    sceneKey() { return [this.wayKey, this.doc.case.image, this.doc.looks.hidden.join(","), JSON.stringify(this.doc.looks.colours)].join("/"); },
    colours() {
      const found = Object.fromEntries(this.doc.structures.map((one) => [one.name, one.colour]));
      if (this.doc.plan && this.doc.plan.target) found[this.doc.plan.target] = [230, 107, 211];
      return { ...found, ...this.doc.looks.colours, [OUTLINE]: OUTLINE_RGB };
    },
    // Of what is being drawn for an interactive segmenter, in the image that is looked at: its outline's number, its prompts.
    outlineDrawn() { return this.interactive ? this.interactive.outline : 0; },
    promptMarks() { const d = this.interactive && this.interactive.drawing; return d && d.image === this.doc.case.image ? Vue.toRaw(d.marks) : []; },
    promptPending() { const d = this.interactive && this.interactive.drawing; return d && d.image === this.doc.case.image ? Vue.toRaw(d.pending) : null; },
    targetWords() { const name = this.doc.plan && this.doc.plan.target; return (this.doc.structures.find((one) => one.name === name) || {}).spoken || t.target; },
    listed() { const wanted = this.filter.toLowerCase(); return this.doc.structures.filter((one) => one.spoken.toLowerCase().includes(wanted)); },
    targets() { return this.doc.structures.filter((one) => one.presence === "present"); },
    // What is marked in slices while somebody clicks: seeds.
    marks() { return this.ui.tool === "seed" ? this.seeding.seeds : []; },
    // Tools of which one click in a slice is all: what each does with the point (LPS mm).
    picks() {
      return {
        seed: (point) => { if (this.seeding.segmenter) this.seeding.seeds.push(point); this.setCursor(point); },
        island: (point) => { this.ui.tool = "navigate"; this.editBy("islands", point); },
      };
    },
    // Studies of which nothing is in this case yet.
    fresh() { return (this.inbox || []).filter((study) => !study.series.some((one) => one.image)).length; },
    ready() { return Boolean(this.doc.draft.protocol && (this.doc.draft.target || this.doc.draft.aim_mm)); },
    others() {
      const d = this.doc.draft;
      return this.doc.choices.plans.flatMap((plan) => Array.from({ length: plan.ways }, (_, n) => ({ key: `${plan.id} ${n}`, words: `${plan.id}, ${n + 1}` })))
        .filter((one) => one.key !== `${d.plan_id} ${d.way}`);
    },
    windowName: {
      get() { return Object.keys(WINDOWS).find((name) => WINDOWS[name].join() === this.ui.window.join()) || "own"; },
      set(name) { this.ui.window = [...WINDOWS[name]]; },
    },
  },
  watch: {
    ui: { deep: true, handler() { this.keepLooks(); } },
    seeding: { deep: true, handler() { this.keepLooks(); } },
    edit: { deep: true, handler() { this.keepLooks(); } },
    openStep() { this.keepLooks(); },
    who() { this.keepLooks(); },
    reason() { this.keepLooks(); },
    remarks() { this.keepLooks(); },
    "doc.draft.remarks"(now, before) { if (this.remarks === before) this.remarks = now; },
    "ui.layout"() { if (this.guiding) { this.guide.open(); this.ui.tool = "navigate"; } },
    // Another tab may have moved a rehearsal's needle; this one's own hand comes first.
    "guide.seen.now"(now) { if (now && now.wish && !(performance.now() - this.wishedAt < 1000)) this.wish = now.wish; },
    "ui.carm"() { this.showCarm(...(this.carm || [])); },
    help(open) { this.$refs.help[open ? "showModal" : "close"](); },
    wayKey() {
      this.ui.depth = null;
      this.why = null;
      this.acknowledged = [];
      if (this.doc.way && !this.drag) this.setCursor([...this.doc.way.target_mm]);
    },
    "doc.draft.plan_id"(now, before) { if (now && !before) { this.ui.home++; this.ui.layout = "plan"; this.ui.window = firstWindow(this.doc, windowFor(this.doc.way)); } },
    "doc.case.key"() { location.reload(); },
    "doc.case.image"(now, before) {
      if (!now) return;
      if (!before) this.setCursor(this.doc.case.middle_mm);
      this.ui.window = firstWindow(this.doc, windowFor(this.doc.way));
    },
    comparison(found) { this.$nextTick(() => this.$refs.compare[found ? "showModal" : "close"]()); },
  },
  created() {
    shown.case = this.doc.case.key;
    this.liveRequest = new Latest((what) => ask("live", what.args),
      (way, what) => { if (this.drag) this.live = Vue.markRaw(way); this.timed("live", performance.now() - what.at); },
      (error) => { if (this.drag) this.live = unjudged(this.doc.way, error.message); },
      { ready: async () => { await this.$nextTick(); await this.painted; } });
    this.guide = new Guide(t);
    this.wishing = new Latest((what) => ask("guide/wish", what), () => {}, (error) => this.sayOnce(error.message));
    this.painted = null;
    this.heard = performance.now();
    this.cutOff = false;
    this.lookAlong = () => {};
    this.keptCamera = null;
    this.scenesDrawn = 0;
    window.navplanTimings = this.timings;
  },
  mounted() {
    document.addEventListener("keydown", this.key);
    if (this.remarks !== this.doc.draft.remarks) this.remark();
    if (this.guiding) this.guide.open();
    this.pulse = setInterval(() => this.listen(), 2000);
    document.body.dataset.ready = "1";
  },
  unmounted() {
    document.removeEventListener("keydown", this.key);
    clearInterval(this.pulse);
    clearInterval(this.held);
    this.guide.close();
  },
  methods: {
    firstStep() { return (this.doc.steps.find((one) => one.state === "open") || this.doc.steps[0]).id; },
    keepLooks() {
      const unsent = this.remarks === this.doc.draft.remarks ? {} : { remarks: this.remarks };
      sessionStorage.setItem(KEPT, JSON.stringify({ case: nameOf(this.doc), ui: { ...this.ui, measures: [] }, openStep: this.openStep, who: this.who, reason: this.reason, seeding: this.seeding, edit: { ...this.edit, opened: 0 }, ...unsent }));
    },
    filled(words, values) { return words.replace(/\{(\w+)\}/g, (_, key) => (Array.isArray(values[key]) ? values[key].join(", ") : values[key] ?? "")); },
    onPage,
    lookFor(words) { this.openStep = "anatomy"; this.absent.name = words.split(/\*?:/)[0].replaceAll(" ", "_"); this.absentOpen = true; },
    sentence(told) { return onPage(this.filled(t.told[told.key] || told.key, told.values)).replace(/(\d{4}-\d\d-\d\d)T(\d\d:\d\d)\S*?\+00:00/, "$1 $2 UTC"); },
    say(words) { this.messages = [...this.messages.filter((one) => one !== words), words].slice(-4); },
    sayOnce(words) { if (!this.messages.includes(words)) this.say(words); },
    seen(view) { return !this.ui.big || this.ui.big === view; },
    enlarge(view) { this.ui.big = this.ui.big === view ? "" : view; },
    timed(name, ms) { (this.timings[name] ||= []).push(ms); if (this.timings[name].length > 2000) this.timings[name].shift(); },
    colourOf(one) { return this.doc.looks.colours[one.name] || one.colour; },
    hex(rgb) { return `#${rgb.map((v) => v.toString(16).padStart(2, "0")).join("")}`; },
    recolour(name, hex) { this.run("looks", { ...this.doc.looks, colours: { ...this.doc.looks.colours, [name]: [1, 3, 5].map((n) => parseInt(hex.slice(n, n + 2), 16)) } }); },
    toggle(name) {
      const hidden = this.doc.looks.hidden;
      this.run("looks", { ...this.doc.looks, hidden: hidden.includes(name) ? hidden.filter((one) => one !== name) : [...hidden, name] });
    },
    setCursor(point) { this.ui.cursor = point; },
    setDepth(mm) { const w = this.way; this.ui.depth = Math.min(Math.max(Math.round(mm * 2) / 2, 0), w.strip.swept_mm); },
    // One action after the other; none is dropped because another is still under way.
    run(name, args = {}) {
      const before = this.running;
      this.actions++;
      this.running = (async () => {
        await before;
        try { return await act(name, args); }
        catch (error) { this.say(error instanceof Refusal ? error.message : t.not_sent); return undefined; }
        finally { this.actions--; }
      })();
      return this.running;
    },
    async remark() {
      const words = this.remarks;
      this.keepLooks();
      await this.run("remark", { words });
      this.keepLooks();
    },
    async stop() { try { await act("cancel"); } catch (error) { this.say(error.message); } },
    chooseTarget(name) { if (name) this.run("choose", { target: name }); },
    aimAt(point) { this.ui.tool = "navigate"; this.setCursor(point); this.run("aim_at", { point }); },
    // A stroke in a slice, points LPS mm: of a threshold its first point alone, the middle of the ball.
    editAlong(points) {
      const { name, radius, low, high, whole } = this.edit, tool = this.ui.tool;
      if (!name || !this.who) { this.say(t.edit_needs); return; }
      const value = tool === "threshold" ? [low, high, ...points[0], radius] : [...points.flat(), radius];
      this.run("edit", { structure: name, steps: [[tool, value]], who: this.who, whole_image: whole });
    },
    // What is drawn for an interactive segmenter; the answer comes when it comes, and holds nothing else up.
    async drawFor(what, args = {}) {
      try { await ask(`interactive/${what}`, args); return true; } catch (error) { this.say(error instanceof Refusal ? error.message : t.not_sent); return false; }
    },
    editBy(name, value) {
      if (!this.edit.name || !this.who) { this.say(t.edit_needs); return; }
      this.run("edit", { structure: this.edit.name, steps: [[name, value]], who: this.who, whole_image: false });
    },
    editThis(name) { this.openStep = "anatomy"; this.edit.name = name; this.edit.opened++; },
    enterAt(point) { this.ui.tool = "navigate"; this.why = null; this.run("move", { entry: point }); },
    grab(mode) {
      if (!this.doc.way) return;
      this.drag = { mode };
      clearInterval(this.held);
      this.held = setInterval(() => this.drag && this.drag[mode] && this.dragTo(mode, this.drag[mode]), 2000);
    },
    dragTo(mode, point) {
      if (!this.drag) return;
      this.drag = { mode, [mode]: point };
      this.liveRequest.ask({ args: mode === "entry" ? { entry: point } : { aim: point }, at: performance.now() });
    },
    async release(mode, moved) {
      const point = this.drag && this.drag[mode];
      clearInterval(this.held);
      await this.liveRequest.forget();  // else the scene would follow a hand that has let go
      if (moved && point) await this.run("move", mode === "entry" ? { entry: point } : { aim: point });
      else if (point) this.drop();
      this.drag = null;
      this.live = null;
    },
    // Nothing was moved: the scene, which followed the hand, shows the way where it is.
    drop() { this.liveRequest.forget().then(() => ask("drop")).then(() => { this.ui.drawn++; }, () => {}); },
    brush(row) { this.setCursor(row.entry_mm); },
    async whyNot(entry) {
      this.openStep = "way";
      try { this.why = await ask("why", { entry }); } catch (error) { this.say(error.message); }
    },
    async compareWith(event) {
      const [plan, way] = event.target.value.split(" ");
      event.target.value = "";
      if (!plan) return;
      try { this.comparison = await ask("compare", { a: [this.doc.draft.plan_id, this.doc.draft.way], b: [plan, Number(way)] }); } catch (error) { this.say(error.message); }
    },
    async approve() {
      const known = this.doc.way.acknowledge.map((one) => one.name);
      await this.run("approve", { seen: this.doc.way.key, who: this.who, reason: this.reason, acknowledge: this.acknowledged.filter((name) => known.includes(name)) });
    },
    async make(what) {
      const made = await this.run(what, { seen: this.doc.way.key });
      if (!made || !made.key) return;
      this.openStep = "report";
      this.pages = made.pages.map((name) => ({ name, url: `api/page/${made.key}/${name}` }));
      made.notes.forEach((words) => this.say(words));
    },
    async showCarm(primary, secondary, at) {
      this.carm = [primary, secondary, at];
      if (!this.ui.carm && !this.carmShown) return;
      this.carmShown = this.ui.carm;
      try { await ask("carm", this.ui.carm ? { primary, secondary, at, carm: this.ui.carmName } : {}); this.ui.drawn++; } catch (error) { this.say(error.message); }
    },
    async startGuide(args) {
      try { await this.guide.start(args); this.ui.drawn++; } catch (error) { this.say(error instanceof Refusal ? error.message : t.not_sent); }
    },
    async askOrSay(what, args) { try { await ask(what, args); } catch (error) { this.say(error instanceof Refusal ? error.message : t.not_sent); } },
    async stopGuide() { try { await this.guide.stop(); this.ui.drawn++; } catch (error) { this.say(error instanceof Refusal ? error.message : t.not_sent); } },
    // Where a rehearsal's needle should go.
    wishFor(changes) { this.wishedAt = performance.now(); this.wish = { ...this.wish, ...changes }; this.wishing.ask({ ...this.wish }); },
    async listen() {
      try {
        const response = await fetch("alive", { signal: AbortSignal.timeout(4000) });
        const alive = await response.json();
        if (!response.ok) throw new Error();
        if (this.cutOff || alive.case !== this.doc.case.key) location.reload();
        this.gone = false;
        this.heard = performance.now();
      } catch (error) {
        this.gone = true;
        if (error.name !== "TimeoutError" || performance.now() - this.heard > LONGEST_SILENCE_MS) this.cutOff = true;  // not only slow
      }
    },
    key(event) {
      if (event.key === "Escape") { this.ui.tool = "navigate"; this.ui.big = ""; if (this.drag) this.drop(); this.drag = null; this.live = null; return; }
      const typing = ["INPUT", "TEXTAREA", "SELECT"].includes(event.target.tagName);
      if (event.ctrlKey || event.metaKey) {
        if (typing || this.guiding) return;
        if (event.key === "z") this.run("undo"); else if (event.key === "y") this.run("redo"); else return;
        event.preventDefault();
        return;
      }
      if (typing || event.altKey || this.$refs.help.open || this.$refs.compare.open) { if (event.key === "?" && !typing) this.help = false; return; }
      const ui = this.ui, tools = { n: "navigate", t: "target", e: "entry", d: "distance", g: "angle" }, windows = { l: "lung", s: "soft", b: "bone", w: "wide" };
      const does = {
        1: () => { ui.layout = "plan"; }, 2: () => { ui.layout = "slices"; }, 3: () => { ui.layout = "needle"; }, 4: () => { ui.layout = "guide"; }, 5: () => { ui.layout = "pair"; }, m: () => { ui.slab = SLABS[(SLABS.indexOf(ui.slab) + 1) % SLABS.length]; },
        x: () => { ui.outlines = !ui.outlines; }, h: () => { ui.home++; }, o: () => this.lookAlong(), f: () => this.ready && !this.busy && this.run("plan"), p: () => this.doc.way && !this.busy && this.make("card"),
        "[": () => this.beside(-1), "]": () => this.beside(1), "?": () => { this.help = true; },
      };
      const name = event.key.toLowerCase();
      if (this.guiding && !(name in windows || GUIDING.includes(name))) return;  // no key changes the way that is followed
      if (tools[name]) ui.tool = tools[name];
      else if (windows[name]) this.windowName = windows[name];
      else if (does[name]) does[name]();
      else return;
      event.preventDefault();
    },
    beside(by) {
      const ways = this.doc.plan ? this.doc.plan.ways.length : 0, number = this.doc.draft.way + by;
      if (number >= 0 && number < ways) this.run("take_way", { number });
    },
  },
};

// The way with a verdict that belongs to no place yet: what was said of another one is not said of this.
function unjudged(way, words) {
  return { ...way, verdict: "NOT_EVALUATED", word: "NOT EVALUATED", symbol: "?", headline: words, hit: null, nearest: [], strip: { ...way.strip, curves: [], sections: [], ticks: [] } };
}

// The needle between two points, as long and as short of the target as before.
function needle(entry, target, before) {
  const direction = unit(sub(target, entry)), depth = length(sub(target, entry));
  const short = before.depth_mm - before.strip.tip_mm, long = length(sub(before.tip_mm, before.hub_mm)), tip = Math.max(depth - short, 1);
  return {
    entry_mm: entry, target_mm: target, depth_mm: depth, tip_mm: add(entry, direction, tip),
    swept_end_mm: add(entry, direction, tip + before.strip.swept_mm - before.strip.tip_mm), hub_mm: add(entry, direction, Math.min(0, tip - long)),
  };
}

async function load() {
  const [template, words] = await Promise.all([fetch(here("page.html")).then((r) => r.text()), fetch(here("words.json")).then((r) => r.json())]);
  t = words;
  return { ...page, template };
}

window.navplanPage = { install(app) { app.component("navplan-page", Vue.defineAsyncComponent(load)); } };
