// Repeated pictures, search, filters and keys of the preview page. All text reaches the page
// through the DOM as text, never as markup.
(() => {

  for (const img of document.querySelectorAll("img[data-same]")) {
    img.src = byId(img.dataset.same).src;
  }

  const findable = (root) => [...root.querySelectorAll("[data-find]")];
  const words = (nodes) => fold(nodes.map((node) => node.textContent).join("\n"));
  const cards = [...document.querySelectorAll("article.card")].map((element) => {
    const probes = [...element.querySelectorAll(".probe")].map((probe) => probe.dataset);
    return {
      element,
      scope: new Set([element.dataset.scope]),
      edit_type: new Set([element.dataset.editType]),
      kind: new Set(probes.map((probe) => `${probe.axis} / ${probe.kind}`)),
      grade: new Set(probes.map((probe) => probe.grade)),
      text: words(findable(element)),
      open: words(findable(element).filter((node) => !node.closest("details"))),
    };
  });
  if (!cards.length) return;

  const form = byId("filters");
  const search = byId("search");
  const facets = ["scope", "edit_type", "kind", "grade"];
  for (const facet of facets) {
    const counts = new Map();
    for (const card of cards) {
      for (const value of card[facet]) {
        if (value) counts.set(value, (counts.get(value) ?? 0) + 1);
      }
    }
    const select = byId(facet);
    for (const [value, count] of counts) select.add(new Option(`${value} (${count})`, value));
    select.parentElement.hidden = counts.size === 0;
  }
  form.hidden = false;

  function mark(terms, shown) {
    if (!window.CSS?.highlights || !window.Highlight) return;
    const found = new Highlight();
    for (const card of terms.length ? shown : []) {
      for (const node of findable(card.element)) {
        const text = node.firstChild;
        if (!text) continue;
        const lower = text.data.toLowerCase();
        if (lower.length !== text.data.length) continue; // a few letters change length
        for (const word of terms) {
          for (let at = lower.indexOf(word); at >= 0; at = lower.indexOf(word, at + word.length)) {
            const range = new Range();
            range.setStart(text, at);
            range.setEnd(text, at + word.length);
            found.add(range);
          }
        }
      }
    }
    CSS.highlights.set("found", found);
  }

  function apply() {
    const terms = fold(search.value).split(/\s+/).filter(Boolean);
    const chosen = facets.filter((facet) => byId(facet).value);
    const shown = [];
    for (const card of cards) {
      const fits =
        terms.every((word) => card.text.includes(word)) &&
        chosen.every((facet) => card[facet].has(byId(facet).value));
      card.element.hidden = !fits;
      if (!fits) continue;
      shown.push(card);
      // A match that only a closed list holds would look like no match at all.
      const buried = terms.filter((word) => !card.open.includes(word));
      for (const details of buried.length ? card.element.querySelectorAll("details") : []) {
        const text = words(findable(details));
        if (buried.some((word) => text.includes(word))) details.open = true;
      }
    }
    byId("count").textContent = `${shown.length} of ${cards.length} shown`;
    byId("nothing").hidden = shown.length > 0;
    mark(search.value.toLowerCase().split(/\s+/).filter(Boolean), shown);
  }

  function step(by) {
    const shown = cards.map((card) => card.element).filter((element) => !element.hidden);
    const current = shown.indexOf(document.activeElement?.closest("article.card"));
    // Without a focused card, go on from where the page is scrolled to.
    const below = shown.findIndex((element) => element.getBoundingClientRect().bottom > 120);
    const next = current >= 0 ? current + by : by > 0 ? below : below - 1;
    const target = shown[Math.max(0, Math.min(shown.length - 1, next))];
    target?.focus({ preventScroll: true });
    target?.scrollIntoView();
  }

  function follow() {
    const target = location.hash && byId(location.hash.slice(1));
    if (target?.hidden) form.reset();
    if (target) setTimeout(() => target.scrollIntoView());
  }

  addEventListener("hashchange", follow);
  listen(form, search, apply, step);
  follow();
})();
