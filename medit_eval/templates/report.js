// Charts and raw answers of a report. All text of the data reaches the page through the DOM as
// text, never as markup.
(() => {
  const read = (id) => JSON.parse(byId(id).textContent);

  // Charts: in the page's colours, drawn again where those change.
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const shapes = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down"];
  const specs = read("charts-data");

  function look() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const category = [0, 1, 2, 3, 4, 5, 6, 7].map((place) => colour(`--e${place}`));
    const text = { labelColor: colour("--soft"), titleColor: colour("--soft"), titleFontWeight: 500 };
    return {
      background: "transparent",
      font: getComputedStyle(document.body).fontFamily,
      range: { category, symbol: shapes },
      axis: { ...text, gridColor: colour("--line"), domainColor: colour("--soft"), tickColor: colour("--soft") },
      rule: { color: colour("--ink") },
      view: { stroke: null },
    };
  }

  function draw() {
    const config = look();
    const drawn = [...document.querySelectorAll(".chart")].map((place) =>
      vegaEmbed(place, specs[place.dataset.chart], {
        mode: "vega-lite", renderer: "svg", actions: false, defaultStyle: false, tooltip: false,
        ast: true, // without it the policy's ban on making code from text would stop every chart
        config,
      }),
    );
    Promise.all(drawn).then(
      () => { document.documentElement.dataset.drawn = String(drawn.length); },
      (error) => console.error(error),
    );
  }
  draw();
  dark.addEventListener("change", draw);

  // Raw answers
  const data = read("answers-data");
  if (!data.records.length) return;
  const PAGE = 30;
  const [REACH, KEEP] = data.headline.map((place) => data.metrics[place][0]);
  const text = (place) => (place === null ? null : data.texts[place]);
  function element(tag, className, ...inner) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    made.append(...inner.filter((part) => part !== null && part !== undefined));
    return made;
  }
  function words(tag, className, value) {
    const made = element(tag, `t ${className}`, value);
    made.dir = "auto";
    return made;
  }

  // The headline metric of a question, of which the verdict is told.
  function verdictOf(question, asked) {
    const wanted = question.reach ? REACH : KEEP;
    const found = data.verdicts[asked[4]].find(([metric]) => data.metrics[metric][0] === wanted);
    if (!found || found[1] === null) return "none";
    return found[1] >= 1 ? "right" : "wrong";
  }
  const changeOf = (asked) => (asked[2] === asked[3] ? "same" : "changed");

  const searchable = (record) => record.folded ??= fold([
    text(record.id),
    ...record.questions.flatMap((q) => [
      text(q.prompt), ...[...q.answers, ...q.before, ...q.targets].map(text),
      ...q.asked.flatMap((asked) => [text(asked[2]) ?? "", text(asked[3]) ?? ""]),
    ]),
  ].join("\n"));
  const questionText = (q) => q.folded ??= fold([
    text(q.prompt), ...[...q.answers, ...q.before].map(text),
    ...q.asked.flatMap((asked) => [text(asked[2]) ?? "", text(asked[3]) ?? ""]),
  ].join("\n"));

  const form = byId("filters");
  const search = byId("search");
  const chosen = () => Object.fromEntries(
    ["axis", "run", "phase", "verdict", "change"].map((name) => [name, byId(name).value]),
  );
  function offer(name, values) {
    const select = byId(name);
    for (const [value, label] of values) select.add(new Option(label, value));
    select.parentElement.hidden = values.length < 2;
  }
  offer("axis", [...new Set(data.records.flatMap((r) => r.questions.map((q) => q.axis)))].map((a) => [a, a]));
  offer("run", data.runs.map((name, place) => [place, name]));
  offer("phase", data.phases.map((name, place) => [place, name]));
  form.hidden = false;

  // What of a record fits: its questions, each with the answers that fit.
  function fitting(record, terms, filter) {
    if (!terms.every((word) => searchable(record).includes(word))) return [];
    const id = fold(text(record.id));
    const inQuestion = terms.filter((word) => !id.includes(word));
    const found = [];
    for (const question of record.questions) {
      if (filter.axis && question.axis !== filter.axis) continue;
      const asked = question.asked.filter((one) =>
        (filter.run === "" || one[0] === Number(filter.run)) &&
        (filter.phase === "" || one[1] === Number(filter.phase)) &&
        (filter.verdict === "" || verdictOf(question, one) === filter.verdict) &&
        (filter.change === "" || changeOf(one) === filter.change));
      if (asked.length) found.push({ question, asked });
    }
    const named = found.filter(({ question }) => inQuestion.every((word) => questionText(question).includes(word)));
    return inQuestion.length ? named : found;
  }

  function said(place) {
    const value = text(place);
    if (value === null) return element("span", "empty", "not asked");
    if (!value.trim()) return element("span", "empty", "(nothing)");
    return words("span", "", value);
  }

  function judged(question, asked) {
    const cell = element("td", "judged");
    const verdict = verdictOf(question, asked);
    const names = { right: "✓ right", wrong: "✗ wrong", none: "not scored" };
    if (question.axis !== "document") cell.append(element("span", `verdict ${verdict}`, names[verdict]));
    const parts = data.verdicts[asked[4]].map(([metric, value, reason]) =>
      `${data.metrics[metric][0]} ${value === null ? `– (${text(reason)})` : value}`);
    if (asked[5] !== null) parts.unshift(text(asked[5]));
    if (asked[6] !== null) parts.push(`answered by ${asked[6]}`);
    cell.append(parts.join(" · "));
    return cell;
  }

  function outputs(question, asked) {
    const body = element("tbody", "");
    let before = null;
    for (const one of asked) {
      if (one[2] !== before) {
        const row = element("tr", "unedited", element("th", "", "unedited"), element("td", "when", "before"),
          element("td", "said", said(one[2])), element("td", "judged"));
        row.firstChild.scope = "row";
        body.append(row);
        before = one[2];
      }
      const name = element("th", "", element("bdi", "", data.runs[one[0]]));
      name.scope = "row";
      body.append(element("tr", changeOf(one), name, element("td", "when", data.phases[one[1]]),
        element("td", "said", said(one[3])), judged(question, one)));
    }
    return element("table", "outputs", body);
  }

  function shown({ question, asked }) {
    const header = element("header", "", element("span", "axisname", question.axis),
      element("code", "", text(question.kind)));
    if (question.grade !== null) header.append(element("span", "chip", text(question.grade)));
    if (question.distance !== null) header.append(element("span", "chip", `distance ${question.distance}`));
    if (question.hops !== null) header.append(element("span", "chip", `${question.hops} hop${question.hops === 1 ? "" : "s"}`));
    const expected = element("p", "expected", element("span", "verb", question.reach ? "becomes " : "stays "));
    if (question.answers.length) expected.append(words("span", "answer", text(question.answers[0])));
    else expected.append(element("span", "also", "what the unedited model says"));
    if (question.answers.length > 1) {
      expected.append(element("span", "also", " also ", words("span", "", question.answers.slice(1).map(text).join(", "))));
    }
    if (question.before.length) {
      expected.append(element("span", "also", " before the edit ", words("span", "", question.before.map(text).join(", "))));
    }
    const inner = [header, words("p", "prompt", text(question.prompt)), expected, outputs(question, asked)];
    const part = element("section", `question axis-${question.axis}`);
    if (question.picture === null) {
      part.append(...inner);
      return part;
    }
    part.classList.add("pictured");
    if (typeof question.picture === "number") {
      const image = element("img", "");
      image.src = data.pictures[question.picture];
      image.alt = `picture of a ${question.axis} question`;
      part.append(element("div", "", image));
    } else {
      part.append(element("div", "", element("span", "nopic", `picture not kept: ${question.picture}…`)));
    }
    part.append(element("div", "body", ...inner));
    return part;
  }

  let matches = [];
  let count = 0;
  const opened = new Set();

  function card({ record, number, found }) {
    const first = record.questions.find((q) => q.axis === "reliability") ?? record.questions[0];
    const title = element("span", "lead", words("span", "", text(first.prompt)), " ");
    if (first.targets.length) title.append(element("span", "verb", "→ "), words("span", "new", text(first.targets[0])));
    const answers = found.flatMap(({ question, asked }) => asked.map((one) => verdictOf(question, one)));
    const wrong = answers.filter((verdict) => verdict === "wrong").length;
    const made = element("details", "record", element("summary", "",
      element("span", "number", `#${number + 1}`), title, words("code", "", text(record.id)),
      element("small", "", `${answers.length} answers, ${wrong} wrong`)));
    const fill = () => {
      if (made.open && made.children.length === 1) made.append(...found.map(shown));
      if (made.open) opened.add(number); else opened.delete(number);
    };
    made.addEventListener("toggle", fill);
    if (opened.has(number)) { made.open = true; fill(); }
    return made;
  }

  function more() {
    byId("records").append(...matches.slice(count, count + PAGE).map(card));
    count = Math.min(matches.length, count + PAGE);
    byId("more").hidden = count >= matches.length;
  }

  function apply() {
    const terms = fold(search.value).split(/\s+/).filter(Boolean);
    const filter = chosen();
    matches = [];
    data.records.forEach((record, number) => {
      const found = fitting(record, terms, filter);
      if (found.length) matches.push({ record, number, found });
    });
    byId("records").replaceChildren();
    count = 0;
    more();
    byId("count").textContent = `${matches.length} of ${data.records.length} records`;
    byId("nothing").hidden = matches.length > 0;
  }

  function step(by) {
    const cards = [...document.querySelectorAll(".record > summary")];
    const current = cards.indexOf(document.activeElement?.closest(".record > summary"));
    const target = cards[Math.max(0, Math.min(cards.length - 1, current + by))];
    target?.focus();
  }

  byId("more").addEventListener("click", more);
  listen(form, search, apply, step);
})();
