// A structure changed by hand: strokes in a slice, and operations on the whole of it; undo and redo.

export default {
  inject: ["nav"],
  template: `
    <details ref="box" data-test="edit"><summary>{{ t.edit_title }}</summary>
      <label>{{ t.edit_name }} <input v-model="edit.name" list="np-editable" data-test="edit-name"></label>
      <datalist id="np-editable"><option v-for="one in nav.doc.structures" :key="one.name" :value="one.name"></option></datalist>
      <label>{{ t.who }} <input v-model="nav.who" data-test="edit-who"></label>
      <p v-if="nav.doc.case.last_edit || nav.doc.case.last_undone">
        <button type="button" :disabled="nav.busy || !nav.who || !nav.doc.case.last_edit" :title="nav.doc.case.last_edit" @click="nav.run('undo_edit', { who: nav.who })" data-test="edit-undo">{{ t.edit_undo }}</button>
        <button type="button" :disabled="nav.busy || !nav.who || !nav.doc.case.last_undone" :title="nav.doc.case.last_undone" @click="nav.run('redo_edit', { who: nav.who })" data-test="edit-redo">{{ t.edit_redo }}</button>
        <span data-test="last-edit">{{ nav.doc.case.last_edit }}</span> <em v-if="nav.doc.case.last_undone" data-test="last-undone">{{ nav.filled(e.undone, { words: nav.doc.case.last_undone }) }}</em></p>
      <h3>{{ e.strokes }}</h3>
      <p class="np-hint">{{ t.edit_hint }}</p>
      <p role="group" :aria-label="e.strokes"><button v-for="(name, key) in t.edit_tools" :key="key" type="button" :aria-pressed="nav.ui.tool === key" @click="take(key)" :data-test="'tool-' + key">{{ name }}</button></p>
      <p class="np-row"><label>{{ t.edit_radius }} <input type="number" min="0.5" max="100" step="0.5" v-model.number="edit.radius" data-test="edit-radius"></label>
        <label>{{ t.edit_low }} <input type="number" v-model.number="edit.low" data-test="edit-low"></label>
        <label>{{ t.edit_high }} <input type="number" v-model.number="edit.high" data-test="edit-high"></label></p>
      <label><input type="checkbox" v-model="edit.whole"> {{ t.edit_whole }}</label>
      <h3>{{ e.whole }}</h3>
      <p class="np-row"><button v-for="key in ['grow_mm', 'shrink_mm', 'smooth_mm']" :key="key" type="button" :disabled="!ready" @click="does(key, edit.mm)" :data-test="'edit-' + key">{{ e.ops[key] }}</button>
        <label>{{ e.by }} <input type="number" min="0.5" max="50" step="0.5" v-model.number="edit.mm" data-test="edit-mm"> mm</label></p>
      <p class="np-row"><button type="button" :disabled="!ready" @click="does('islands', 'largest')" data-test="edit-largest">{{ e.largest }}</button>
        <button type="button" :disabled="!ready" :aria-pressed="nav.ui.tool === 'island'" @click="take('island')" data-test="tool-island">{{ e.island }}</button>
        <button type="button" :disabled="!ready" @click="does('islands', edit.ml)" data-test="edit-islands">{{ e.at_least }}</button> <label><input type="number" min="0.01" step="0.1" v-model.number="edit.ml" :aria-label="e.at_least" data-test="edit-ml"> ml</label></p>
      <p class="np-row"><button type="button" :disabled="!ready" @click="does('fill_slices', edit.slices)" data-test="edit-fill">{{ e.fill }}</button>
        <select v-model="edit.slices" :aria-label="e.fill" data-test="edit-slices"><option v-for="cut in ['axial', 'coronal', 'sagittal']" :key="cut" :value="cut">{{ t.views[cut] }}</option></select></p>
      <p class="np-row"><button v-for="key in ['union', 'minus', 'intersect']" :key="key" type="button" :disabled="!ready || !edit.other" @click="does(key, edit.other)" :data-test="'edit-' + key">{{ e.ops[key] }}</button>
        <select v-model="edit.other" :aria-label="e.with" data-test="edit-other"><option value="">{{ t.choose }}</option><option v-for="one in others" :key="one.name" :value="one.name">{{ one.spoken }}</option></select></p>
      <p v-if="!ready" class="np-hint">{{ t.edit_needs }}</p>
    </details>`,
  computed: {
    t() { return this.nav.t; },
    e() { return this.nav.t.edit; },
    edit() { return this.nav.edit; },
    ready() { return Boolean(!this.nav.busy && this.edit.name && this.nav.who); },
    others() { return this.nav.targets.filter((one) => one.name !== this.edit.name); },
  },
  watch: {
    "edit.opened"() { this.$refs.box.open = true; this.$refs.box.scrollIntoView({ block: "nearest" }); },
  },
  methods: {
    take(tool) {
      this.nav.ui.tool = this.nav.ui.tool === tool ? "navigate" : tool;
      if (this.nav.ui.tool === tool && !["slices", "needle"].includes(this.nav.ui.layout)) this.nav.ui.layout = "slices";
    },
    does(name, value) { this.nav.editBy(name, value); },
  },
};
