// The structures of the image: hide, colour, clearance; and of each who made it, with what, when, and where it ends.

export default {
  inject: ["nav"],
  data: () => ({ open: "" }),
  template: `
    <ul class="np-structures" tabindex="0" :aria-label="t.steps.anatomy">
      <li v-for="one in nav.listed" :key="one.name" :data-presence="one.presence" :data-structure="one.name" :title="words(one)">
        <label><input type="checkbox" :checked="!nav.doc.looks.hidden.includes(one.name)" :disabled="!one.drawn" @change="nav.toggle(one.name)">
          <i :style="{ background: 'rgb(' + nav.colourOf(one) + ')' }"></i> {{ one.spoken }}</label>
        <em v-if="one.made.cut" class="np-cut" :title="t.made.cut_means">{{ t.made.cut_short }}</em>
        <input v-if="one.drawn" type="color" :value="nav.hex(nav.colourOf(one))" :aria-label="one.spoken" @change="nav.recolour(one.name, $event.target.value)">
        <span :class="'np-' + one.verdict">{{ one.interval || t.presence[one.presence] }}</span>
        <button type="button" class="np-about" :aria-expanded="open === one.name" :aria-label="t.made.about + ' ' + one.spoken" :data-test="'about-' + one.name" @click="open = open === one.name ? '' : one.name">i</button>
        <small v-if="open === one.name" class="np-made" :data-test="'made-' + one.name">{{ words(one) }}
          <button v-if="one.presence === 'present'" type="button" @click="nav.editThis(one.name)">{{ t.made.edit }}</button></small>
      </li>
    </ul>`,
  computed: {
    t() { return this.nav.t; },
  },
  methods: {
    // "present, 0.5 ml · semiautomatic, ct-region 0.1.0, 2026-11-30, by Dr A · confidence not told · cut by the edge"
    words(one) {
      const m = this.t.made, { made } = one;
      if (one.presence === "absent") return this.nav.filled(m.absent, { stated: made.stated });
      const first = one.presence === "present" ? `${m.present}${made.ml === null ? "" : `, ${made.ml >= 10 ? Math.round(made.ml) : made.ml} ml`}` : m.unknown;
      const how = [m.how[made.how], made.with, made.on, made.by && this.nav.filled(m.by, { who: made.by })].filter(Boolean).join(", ");
      if (one.presence !== "present") return [first, made.with && how].filter(Boolean).join(" · ");
      const sure = made.confidence === null ? m.no_confidence : this.nav.filled(m.confidence, { value: made.confidence.toFixed(2) });
      return [first, how, sure, made.carried_from && this.nav.filled(m.carried, { image: made.carried_from }), made.cut ? m.cut : m.not_cut].filter(Boolean).join(" · ");
    },
  },
};
