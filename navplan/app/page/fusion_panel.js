// The step Fusion: a second image over the one that is looked at, what ties the two, registrations, structures carried over.

export default {
  inject: ["nav"],
  data: () => ({ kind: "rigid", surface: "body", carried: null, left: {} }),  // left: what is not to be carried, by registration and name
  template: `
    <template v-if="doc.others.length">
      <label>{{ f.over }} <select v-model="set.image" data-test="over">
        <option value="">{{ f.none }}</option>
        <option v-for="one in doc.others" :key="one.id" :value="one.id" :disabled="Boolean(one.refusal)">{{ name(one.id) }}</option></select></label>
      <ul v-if="refused.length"><li v-for="one in refused" :key="one.id" class="np-warn">{{ nav.onPage(one.refusal) }}</li></ul>
      <section v-if="over" class="np-chosen" data-test="fusion">
        <p :class="'np-' + over.verdict" data-test="tie"><b>{{ over.symbol }}</b> {{ over.words }}</p>
        <p data-test="over-at">{{ nav.errorWords }}<br>{{ f.at_cursor }}: {{ over.image }} {{ nav.secondWords }}</p>
        <label v-if="nav.ui.layout !== 'pair'">{{ f.mode }} <select v-model="set.mode" data-test="over-mode"><option v-for="one in doc.drawing.modes" :key="one" :value="one">{{ f.modes[one] }}</option></select></label>
        <label v-if="over.mode === 'blend'">{{ f.alpha }} <input type="range" min="0" max="1" step="0.05" v-model.number="set.alpha" data-test="over-alpha"></label>
        <label v-if="over.mode === 'checkerboard'">{{ f.cell }} <input type="number" min="2" max="200" :value="set.cell" @change="set.cell = Math.min(Math.max(Number($event.target.value) || 20, 2), 200)" data-test="over-cell"></label>
        <p v-if="over.mode === 'split'">{{ f.split_hint }}</p>
        <label v-if="!['edges', 'beside'].includes(over.mode)">{{ f.map }} <select :value="over.map" @change="set.maps = { ...set.maps, [over.image]: $event.target.value }" data-test="over-map"><option v-for="(_, one) in doc.drawing.maps" :key="one" :value="one">{{ f.maps[one] }}</option></select></label>
        <p class="np-row"><label>{{ over.quantity }} {{ f.from }} <input type="number" step="any" :value="edge(-1)" @change="window($event.target.value, edge(1))" data-test="over-low"></label>
          <label>{{ f.to }} <input type="number" step="any" :value="edge(1)" @change="window(edge(-1), $event.target.value)" data-test="over-high"></label>
          <button type="button" @click="set.windows = { ...set.windows, [over.image]: null }">{{ f.own_window }}</button></p>
        <p class="np-row"><label><input type="checkbox" v-model="set.scene" data-test="over-scene"> {{ f.scene }}</label>
          <label v-if="set.scene && over.quantity === 'SUV'">{{ f.uptake }} <input type="number" min="0.1" step="any" v-model="set.uptake" :placeholder="f.uptake_none" data-test="over-uptake"></label></p>
        <p class="np-row"><button type="button" :aria-pressed="nav.ui.layout === 'pair'" @click="nav.ui.layout = nav.ui.layout === 'pair' ? 'slices' : 'pair'" data-test="pair">{{ f.pair }}</button>
          <label v-if="nav.ui.layout === 'pair'">{{ f.cut }} <select v-model="set.cut" data-test="pair-cut"><option v-for="one in ['axial', 'coronal', 'sagittal']" :key="one" :value="one">{{ t.views[one] }}</option></select></label></p>
      </section>
      <h3>{{ f.registrations }}</h3>
      <p v-if="!doc.registrations.length">{{ f.no_registration }}</p>
      <section v-for="one in doc.registrations" :key="one.fixed + '/' + one.moving" class="np-chosen" :data-test="'registration-' + one.fixed + '-' + one.moving">
        <p><b :class="one.good ? 'np-PASS' : 'np-WARN'">{{ one.good ? '✓ ' + f.good : '! ' + f.doubtful }}</b> {{ nav.filled(f.registration, one) }}
          <span v-if="one.error_mm">{{ errors(one.error_mm) }}</span><span v-else>{{ f.errors_unknown }}</span></p>
        <p v-if="one.doubt" class="np-WARN">{{ one.doubt }}</p>
        <details><summary>{{ f.checks }}</summary><ul><li v-for="check in one.checks" :key="check.name"><span :class="sign(check)[1]">{{ sign(check)[0] }}</span> {{ check.words }}</li></ul>
          <p>{{ one.made_with }}, {{ one.made_on }}</p></details>
        <fieldset v-if="one.structures.length" class="np-carry"><legend>{{ nav.filled(f.to_carry, one) }}</legend>
          <ul><li v-for="it in one.structures" :key="it.name"><label><input type="checkbox" :checked="wanted(one, it)" :disabled="it.state === 'own'" @change="choose(one, it, $event.target.checked)" :data-test="'take-' + it.name"> {{ it.spoken }}</label>
            <small v-if="it.state">{{ f.carry_state[it.state] }}</small></li></ul></fieldset>
        <p><button type="button" :disabled="nav.busy || !chosen(one).length" @click="carry(one)" :data-test="'carry-' + one.moving">{{ nav.filled(f.carry, { ...one, count: chosen(one).length }) }}</button>
          <button v-if="one.structures.length > 1" type="button" @click="all(one)">{{ f.carry_all }}</button></p>
      </section>
      <section v-if="carried" role="status" data-test="carried"><p>{{ carried.words }}</p>
        <ul><li v-for="it in carried.told" :key="it.name" :class="it.doubt ? 'np-WARN' : 'np-PASS'">{{ it.doubt ? '!' : '✓' }} {{ toldOf(it) }}</li></ul></section>
      <section v-for="one in doc.others" :key="one.id">
        <p v-if="one.moved" class="np-WARN">{{ nav.filled(f.moved, one) }}</p>
        <p class="np-row"><label>{{ f.kind }} <select v-model="kind"><option v-for="name in doc.kinds" :key="name" :value="name">{{ f.kinds[name] }}</option></select></label>
          <label v-if="kind === 'surface'">{{ f.surface }} <select v-model="surface" data-test="register-surface"><option v-for="name in doc.shared[one.id]" :key="name" :value="name">{{ name.replaceAll("_", " ") }}</option></select></label>
          <button type="button" :disabled="nav.busy" @click="nav.run('register', { fixed: nav.doc.case.image, moving: one.id, kind, structure: kind === 'surface' ? surface : '' })" :data-test="'register-' + one.id">{{ nav.filled(registered(one.id) ? f.register_anew : f.register, { moving: one.id, fixed: nav.doc.case.image }) }}</button>
          <button v-if="nav.busy" type="button" @click="nav.stop()">{{ t.stop }}</button></p>
      </section>
    </template>`,
  computed: {
    t() { return this.nav.t; },
    f() { return this.nav.t.fusion; },
    doc() { return this.nav.doc.fusion; },
    over() { return this.nav.over; },
    set() { return this.nav.ui.over; },
    refused() { return this.doc.others.filter((one) => one.refusal && this.registered(one.id)); },
  },
  methods: {
    name(id) { const one = this.doc.images.find((image) => image.id === id); return [id, one.modality, one.date, one.description].filter(Boolean).join(", "); },
    registered(id) { return this.doc.registrations.some((one) => [one.fixed, one.moving].sort().join() === [id, this.nav.doc.case.image].sort().join()); },
    sign(check) { return check.passed === true ? ["✓", "np-PASS"] : check.passed === false ? ["✕", "np-WARN"] : ["?", "np-NOT_EVALUATED"]; },
    errors([low, high]) { return this.nav.filled(low === high ? this.f.error_all : this.f.errors, { low: low.toFixed(1), high: high.toFixed(1) }); },
    edge(side) { const [level, width] = this.over.window; return Number((level + (side * width) / 2).toPrecision(5)); },
    window(low, high) {
      const from = Number(low), to = Number(high);
      if (Number.isFinite(from) && Number.isFinite(to) && to > from) this.set.windows = { ...this.set.windows, [this.over.image]: [(from + to) / 2, to - from] };
    },
    key(one, it) { return `${one.moving}/${one.fixed}/${it.name}`; },
    wanted(one, it) { return it.state !== "own" && !this.left[this.key(one, it)]; },
    choose(one, it, taken) { this.left = { ...this.left, [this.key(one, it)]: !taken }; },
    chosen(one) { return one.structures.filter((it) => this.wanted(one, it)).map((it) => it.name); },
    all(one) {
      const none = one.structures.some((it) => it.state !== "own" && !this.wanted(one, it));
      this.left = { ...this.left, ...Object.fromEntries(one.structures.map((it) => [this.key(one, it), !none])) };
    },
    async carry(one) {
      const { moving, fixed } = one, done = await this.nav.run("carry", { moving, fixed, structures: this.chosen(one) });
      if (done) this.carried = { words: this.nav.filled(this.f.carried, { fixed }), told: done.told };
    },
    toldOf({ name, absent, error_mm, doubt }) {
      const words = name.replaceAll("_", " "), off = error_mm === null ? this.f.carried_unknown : this.nav.filled(this.f.carried_error, { mm: error_mm.toFixed(1) });
      return `${words}: ${absent ? this.f.carried_absent : off}${doubt ? `; ${this.f.carried_doubt}: ${doubt}` : ""}`;
    },
  },
};
