// What a tab holds of a second image: which, how it is laid over, and what is known at the cursor. A part of the page.

import { Latest, get } from "./api.js";
import { VERDICTS } from "./drawing.js";
import { written } from "./fusion.js";

export const OVER = { image: "", mode: "blend", alpha: 0.5, windows: {}, maps: {}, cell: 20, cut: "axial", scene: true, uptake: "" };

// The window that an image is looked at in first: HU as the page chooses it, anything else by its own values.
export function firstWindow(doc, ofHu) {
  const image = doc.fusion.images.find((one) => one.id === doc.case.image);
  return image && image.quantity !== "HU" ? [...image.window] : [...ofHu];
}

export default {
  data: () => ({ overAt: null, pairView: null }),  // pairView: scale (px a mm) and place (px) of the cursor of the slice that another is linked to
  computed: {
    // The second image as it is drawn; null where there is none, or where nothing ties it to the first.
    over() {
      const { fusion } = this.doc, chosen = this.ui.over, tie = fusion.others.find((one) => one.id === chosen.image && !one.refusal);
      if (!tie) return null;
      const image = fusion.images.find((one) => one.id === tie.id), own = chosen.maps[tie.id];
      return {
        ...chosen, ...tie, mode: this.ui.layout === "pair" ? "beside" : chosen.mode, window: chosen.windows[tie.id] || image.window, map: own || (chosen.mode === "blend" ? image.map_blended : image.map),
        quantity: image.quantity, modality: image.modality, voxel_mm: image.voxel_mm, first: this.doc.case.image, tint: tie.verdict === "NOT_EVALUATED" ? "#E8EDF2" : VERDICTS[tie.verdict],  // grey is lost on grey
      };
    },
    overId() { return this.over ? this.over.image : ""; },
    overKey() { return this.over ? `${this.overId}/${this.doc.case.image}/${this.doc.case.revision}` : ""; },
    // What of it the 3-D scene shows: its planes cross at the cursor. null: nothing.
    overScene() {
      const over = this.over, { scene, mode, uptake } = this.ui.over;
      if (!over || !scene) return null;
      const map = this.ui.over.maps[over.image] || (mode === "blend" ? this.doc.fusion.images.find((one) => one.id === over.image).map_blended : over.map);
      return { over: over.image, mode, alpha: over.alpha, window: over.window, map, cell: over.cell, first_window: this.ui.window, at: this.ui.cursor, ...(over.quantity === "SUV" && Number(uptake) > 0 ? { uptake: Number(uptake) } : {}) };
    },
    overPlace() { return `${this.overKey}/${this.ui.cursor}`; },
    // What is known at the cursor: never what was known of another place.
    atCursor() { return this.overAt && this.overAt.place === this.overPlace ? this.overAt : null; },
    errorWords() {
      const f = this.t.fusion, at = this.atCursor;
      if (!at) return f.error_coming;
      return at.error_mm === null ? f.error_unknown : this.filled(f.error, { mm: at.error_mm.toFixed(1) });
    },
    secondWords() {
      const at = this.atCursor;
      if (!at) return "…";
      return at.value === null ? this.t.fusion.no_image : written(at.value, this.over.quantity);
    },
  },
  watch: {
    overPlace() { this.askAtCursor(); },
  },
  created() {
    this.overRequest = new Latest(async (what) => (await get("fusion/at", what.args)).json(), (found, what) => { this.overAt = { ...found, place: what.place }; },
      (error, what) => { this.overAt = { error_mm: null, value: null, place: what.place }; this.sayOnce(error.message); });
    this.askAtCursor();
  },
  unmounted() { this.overRequest.close(); },
  methods: {
    askAtCursor() { if (this.over) this.overRequest.ask({ args: { over: this.overId, at: this.ui.cursor.join(",") }, place: this.overPlace }); },
  },
};
