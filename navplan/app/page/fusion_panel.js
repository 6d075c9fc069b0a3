// The step Fusion: a second image over the one that is looked at, what ties the two, registrations, structures carried over.

export default {
  inject: ["nav"],
  data: () => ({ kind: "rigid", carried: "" }),
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
        <p><button type="button" :disabled="nav.busy || !one.structures" @click="carry(one)" :data-test="'carry-' + one.moving">{{ nav.filled(f.carry, one) }}</button></p>
      </section>
      <p v-if="carried" role="status" data-test="carried">{{ carried }}</p>
      <section v-for="one in unregistered" :key="one.id">
        <p v-if="one.moved" class="np-WARN">{{ nav.filled(f.moved, one) }}</p>
        <p class="np-row"><label>{{ f.kind }} <select v-model="kind"><option v-for="name in doc.kinds" :key="name" :value="name">{{ f.kinds[name] }}</option></select></label>
          <button type="button" :disabled="nav.busy" @click="nav.run('register', { fixed: nav.doc.case.image, moving: one.id, kind })" :data-test="'register-' + one.id">{{ nav.filled(f.register, { moving: one.id, fixed: nav.doc.case.image }) }}</button>
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
    unregistered() { return this.doc.others.filter((one) => !this.registered(one.id)); },
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
    async carry({ moving, fixed }) {
      const done = await this.nav.run("carry", { moving, fixed });
      if (done) this.carried = this.nav.filled(done.doubt ? this.f.carried_doubt : this.f.carried, { ...done, names: done.carried.map((name) => name.replaceAll("_", " ")), fixed });
    },
  },
};
