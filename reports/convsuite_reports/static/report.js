// Pages of a convsuite report: filters, sorting, hints and keys. What is chosen stands in the address, after `#`:
// `#?op=conv&sort=2` on a page of its own, `#matrix?op=conv` where all pages are in one file.
"use strict";
(() => {
  const pages = [...document.querySelectorAll("[data-page]")];
  const ending = document.body.dataset.single; // of titles, where all pages are in one file
  const single = ending !== undefined;
  const restore = new Map(); // what shows a state: page → functions
  const tip = document.getElementById("tip");
  const CHUNK = 200; // rows that a long list grows by

  function address() {
    const hash = location.hash.slice(1);
    const at = hash.indexOf("?");
    const name = decodeURIComponent(at < 0 ? hash : hash.slice(0, at));
    return { name, state: new URLSearchParams(at < 0 ? "" : hash.slice(at + 1)) };
  }

  function keep(changes) {
    const { name, state } = address();
    for (const [key, value] of Object.entries(changes)) value ? state.set(key, value) : state.delete(key);
    const query = state.toString();
    history.replaceState(null, "", "#" + (single ? name : "") + (query ? "?" + query : ""));
  }

  function show(first) {
    const { name, state } = address();
    if (name === "main" && !first) return; // the link that skips the head
    const page = (single && pages.find((p) => p.dataset.page === name)) || pages[0];
    if (single) {
      for (const p of pages) p.hidden = p !== page;
      for (const a of document.querySelectorAll("[data-nav]"))
        a.dataset.nav === page.dataset.page ? a.setAttribute("aria-current", "page") : a.removeAttribute("aria-current");
      document.title = page.dataset.title + ending;
      if (!first) { page.focus({ preventScroll: true }); scrollTo(0, 0); }
    }
    if (!restore.has(page)) restore.set(page, enhance(page));
    for (const one of restore.get(page)) one(state);
  }

  function enhance(page) {
    const found = [];
    for (const [selector, make] of [["[data-matrix]", matrix], ["[data-cases]", cases], ["[data-pairs]", pairs]])
      for (const part of page.querySelectorAll(selector)) found.push(make(part));
    for (const table of page.querySelectorAll("table.sortable")) sortable(table);
    for (const frame of page.querySelectorAll(".newest .scroll")) frame.scrollLeft = frame.scrollWidth; // what is new is on the right
    for (const button of page.querySelectorAll("[data-copy]")) button.addEventListener("click", () => copy(button));
    return found;
  }

  const data = (part) => JSON.parse(part.querySelector("script.data")?.textContent || "null");

  // A form whose fields are the state: by name, checkboxes as what is unchecked.
  function bind(form, apply) {
    const fields = [...form.elements].filter((f) => f.name && f.type !== "checkbox");
    const boxes = [...form.elements].filter((f) => f.type === "checkbox");
    const changed = () => {
      const state = Object.fromEntries(fields.map((f) => [f.name, f.tagName === "SELECT" && f.selectedIndex === 0 ? "" : f.value]));
      if (boxes.length) state.hide = boxes.filter((b) => !b.checked).map((b) => b.value).join(".");
      keep(state);
      apply();
    };
    form.addEventListener("input", changed);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(changed));
    return (state) => {
      for (const f of fields) {
        const value = state.get(f.name) || "";
        if (f.tagName === "SELECT") { f.selectedIndex = Math.max(0, [...f.options].findIndex((o) => o.value === value)); }
        else f.value = value;
      }
      const hidden = (state.get("hide") || "").split(".");
      for (const b of boxes) b.checked = !hidden.includes(b.value);
      apply();
    };
  }

  function matrix(part) {
    const form = part.querySelector("form"), told = data(part);
    const tables = [...part.querySelectorAll("[data-by]")];
    const nothing = part.querySelector(".nothing"), count = part.querySelector(".count");
    const states = [...form.elements.state.options].map((o) => o.value);
    hints(part, (a) => told && describe(a, told));
    const order = new Map(); // rows as they were written
    for (const one of tables) order.set(one, [...one.querySelectorAll("tbody tr")]);

    const apply = () => {
      const { by, q, op, state } = form.elements;
      const words = q.value.toLowerCase().split(/\s+/).filter(Boolean);
      const hidden = new Set([...form.querySelectorAll("[type=checkbox]")].filter((b) => !b.checked).map((b) => b.value));
      const wanted = state.value ? String(states.indexOf(state.value) - 1) : "";
      let shown = 0, all = 0;
      for (const one of tables) {
        one.hidden = one.dataset.by !== by.value;
        if (one.hidden) continue;
        for (const cell of one.querySelectorAll("[data-b]")) cell.hidden = hidden.has(cell.dataset.b);
        for (const row of order.get(one)) {
          const text = row.cells[0].textContent.toLowerCase();
          const fits = (!op.value || row.dataset.op === op.value) && words.every((w) => text.includes(w)) &&
            (!wanted || [...row.cells].some((c) => c.dataset.r === wanted && !c.hidden));
          row.hidden = !fits;
          shown += fits; all += 1;
        }
        sort(one);
        rove(one);
      }
      nothing.hidden = shown > 0;
      count.textContent = `${shown} of ${all} rows`;
    };

    function sort(one) {
      const { state } = address();
      const [, column, down] = /^(-?\d+)(d?)$/.exec(state.get("sort") || "-1") || [null, "-1", ""];
      const rows = [...order.get(one)];
      const at = Number(column) + 1;
      if (at > 0) rows.sort((a, b) => a.cells[at].dataset.r - b.cells[at].dataset.r);
      if (down) rows.reverse();
      const body = one.querySelector("tbody");
      if (rows.some((row, i) => row !== body.rows[i])) body.append(...rows);
      for (const th of one.querySelectorAll("thead th")) {
        const own = th.querySelector("button").dataset.sort === column;
        own ? th.setAttribute("aria-sort", down ? "descending" : "ascending") : th.removeAttribute("aria-sort");
      }
    }

    part.addEventListener("click", (event) => {
      const button = event.target.closest("[data-sort]");
      if (!button) return;
      const now = address().state.get("sort") || "-1", own = button.dataset.sort;
      const next = now === own ? own + "d" : own;
      keep({ sort: next === "-1" ? "" : next });
      apply();
    });
    form.addEventListener("reset", () => keep({ sort: "" }));
    return bind(form, apply);
  }

  function describe(a, told) {
    const [counts, reasons] = told.tips[a.dataset.tip];
    const lines = counts.map(([mark, n]) => `${n} ${told.words[mark]}`);
    for (const [mark, reason, n] of reasons) lines.push(`${mark} ${n} × ${told.reasons[reason]}`);
    return [a.getAttribute("aria-label"), ...lines].join("\n");
  }

  // One stop of the Tab key for the whole table; arrows go from cell to cell.
  function rove(table) {
    if (!table.dataset.roving) for (const a of table.querySelectorAll("tbody a")) a.tabIndex = -1;
    for (const a of table.querySelectorAll('tbody a[tabindex="0"]')) a.tabIndex = -1;
    const first = table.querySelector("tbody tr:not([hidden]) a");
    if (first) first.tabIndex = 0;
    if (table.dataset.roving) return;
    table.dataset.roving = "1";
    table.addEventListener("keydown", (event) => {
      const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
      const cell = event.target.closest("td, th");
      if (!step || !cell || !event.target.matches("tbody a")) return;
      event.preventDefault();
      const rows = [...table.querySelectorAll("tbody tr:not([hidden])")];
      let r = rows.indexOf(cell.parentElement), c = cell.cellIndex;
      for (;;) {
        r += step[0]; c += step[1];
        const next = rows[r]?.cells[c];
        if (!next) return;
        const a = !next.hidden && next.querySelector("a");
        if (a) { event.target.tabIndex = -1; a.tabIndex = 0; a.focus(); return; }
      }
    });
  }

  function cases(part) {
    const form = part.querySelector("form"), told = data(part);
    const [head, body] = [part.querySelector("thead"), part.querySelector("tbody")];
    const more = part.querySelector(".more"), count = part.querySelector(".count");
    for (const pass of told.passes) form.elements.pass.append(new Option(pass, pass));
    let fits = [], shown = 0;
    hints(part, (cell) => cell.dataset.why);

    const grow = () => {
      const rows = fits.slice(shown, shown + CHUNK).map(row);
      body.append(...rows);
      shown += rows.length;
      more.hidden = shown >= fits.length;
      more.textContent = `Show ${Math.min(CHUNK, fits.length - shown)} more of ${fits.length - shown}`;
    };

    let columns = [];
    const apply = () => {
      const { q, pass, b, mark } = form.elements;
      const words = q.value.toLowerCase().split(/\s+/).filter(Boolean);
      columns = told.backends.map((_, i) => i).filter((i) => !b.value || told.backends[i] === b.value);
      fits = told.rows.filter(([id, p, letters]) =>
        (!pass.value || told.passes[p] === pass.value) && words.every((w) => (told.front + id).toLowerCase().includes(w)) &&
        columns.some((i) => letters[i] !== " " && (!mark.value || mark.value.includes(letters[i]))));
      head.replaceChildren(made("tr", {}, ...["case", "pass", ...columns.map((i) => told.backends[i])]
        .map((text) => made("th", { scope: "col" }, text))));
      body.replaceChildren();
      shown = 0;
      grow();
      count.textContent = `${fits.length} of ${told.rows.length} checks`;
    };

    function row([id, pass, letters, reasons]) {
      const cells = columns.map((i) => cell(id, letters[i], reasons ? reasons[i] : -1, told.backends[i]));
      return made("tr", {}, made("th", { scope: "row", className: "id" }, ...breakable(id)),
        made("td", { className: "pass" }, told.passes[pass]), ...cells);
    }

    function cell(id, letter, reason, backend) {
      if (letter === " ") return made("td", {}, "");
      const page = told.pages[`${told.front}${id} ${backend}`];
      const why = `${backend}: ${told.words[letter]}${reason >= 0 ? "\n" + told.reasons[reason] : ""}`;
      const inside = page ? made("a", { href: page }, letter) : made("span", {}, letter);
      if (reason >= 0 && !page) inside.tabIndex = 0;
      inside.dataset.why = why;
      inside.dataset.tip = "";
      return made("td", { className: "m-" + letter }, inside);
    }

    // a long id breaks after a comma, if it must
    const breakable = (id) => id.split(/(?<=,)/).flatMap((part) => [part, made("wbr", {})]);

    more.addEventListener("click", grow);
    return bind(form, apply);
  }

  function pairs(part) {
    const form = part.querySelector("form"), told = data(part);
    if (!form) return () => {};
    const href = (id) => {
      const front = id.split("/").slice(0, 2).join("/");
      return front in told.pages ? told.pages[front] + encodeURIComponent(id) : "#";
    };
    const apply = () => {
      const op = form.elements.op.value, pass = form.elements.pass.value;
      const sums = new Map();
      for (const [l, r, o, p, compared, identical, units, worst] of told.rows) {
        if ((op && told.operations[o] !== op) || (pass && told.passes[p] !== pass)) continue;
        for (const key of [`${told.backends[l]} ${told.backends[r]}`, `${told.backends[r]} ${told.backends[l]}`]) {
          const sum = sums.get(key) || { compared: 0, identical: 0, units: 0, worst };
          sum.compared += compared; sum.identical += identical;
          const size = units === null ? Infinity : units;
          if (size > sum.units) { sum.units = size; sum.worst = worst; }
          sums.set(key, sum);
        }
      }
      for (const cell of part.querySelectorAll("td[data-l]")) paint(cell, sums.get(`${cell.dataset.l} ${cell.dataset.r}`), href);
    };
    hints(part, (link) => link.dataset.why);
    return bind(form, apply);
  }

  function paint(cell, sum, href) {
    if (cell.dataset.l === cell.dataset.r) return;
    cell.replaceChildren();
    cell.className = "";
    if (!sum) return;
    const level = sum.units === 0 ? "same" : Math.min(4, Math.max(0, Math.floor(Math.log10(sum.units)) + 1));
    const percent = (100 * sum.identical) / sum.compared;
    const share = sum.identical === sum.compared ? "100" : Math.min(99.9, percent).toFixed(1);
    const units = sum.units === 0 ? "=" : short(sum.units);
    cell.className = "h-" + level;
    const link = made("a", { href: href(sum.worst) }, made("b", {}, units), made("span", {}, share + " %"));
    link.dataset.tip = "";
    link.dataset.why = sum.worst ? `largest for ${sum.worst}` : "";
    cell.append(link);
  }

  function short(value) {
    if (value === Infinity) return "∞";
    if (value >= 10000) return value.toExponential(1).replace("e+", "e");
    return value.toFixed(value >= 10 ? 0 : value >= 1 ? 1 : 2);
  }

  function sortable(table) {
    const body = table.tBodies[0];
    [...table.tHead.rows[0].cells].forEach((th, column) => {
      const button = made("button", { type: "button", className: "sort" }, th.textContent);
      th.replaceChildren(button);
      button.addEventListener("click", () => {
        const down = th.getAttribute("aria-sort") === "ascending";
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        th.setAttribute("aria-sort", down ? "descending" : "ascending");
        const value = (row) => row.cells[column].textContent.trim().replace(/,(?=\d{3})/g, "");
        const rows = [...body.rows].sort((a, b) => value(a).localeCompare(value(b), "en", { numeric: true }));
        body.append(...(down ? rows.reverse() : rows));
      });
    });
  }

  function hints(part, words) {
    const on = (event) => {
      const about = event.target.closest?.("[data-tip]");
      if (!about || !part.contains(about)) return;
      const text = words(about);
      if (!text) return;
      tip.textContent = text;
      tip.hidden = false;
      about.setAttribute("aria-describedby", "tip");
      const box = about.getBoundingClientRect(), own = tip.getBoundingClientRect();
      const below = box.bottom + own.height + 8 < innerHeight;
      tip.style.top = `${below ? box.bottom + 4 : Math.max(4, box.top - own.height - 4)}px`;
      tip.style.left = `${Math.max(8, Math.min(box.left, innerWidth - own.width - 8))}px`;
    };
    const off = (event) => {
      event.target.closest?.("[data-tip]")?.removeAttribute("aria-describedby");
      tip.hidden = true;
    };
    for (const name of ["mouseover", "focusin"]) part.addEventListener(name, on);
    for (const name of ["mouseout", "focusout"]) part.addEventListener(name, off);
  }

  async function copy(button) {
    const text = button.dataset.copy;
    try {
      await navigator.clipboard.writeText(text);
    } catch { // pages from the file system may not
      const area = made("textarea", { value: text });
      button.after(area);
      area.select();
      document.execCommand("copy");
      area.remove();
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  }

  function made(name, properties, ...children) {
    const element = Object.assign(document.createElement(name), properties);
    element.append(...children);
    return element;
  }

  document.addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hidden = true; });
  document.addEventListener("scroll", () => { tip.hidden = true; }, true);
  const closed = () => [...document.querySelectorAll("details:not([open])")];
  let opened = []; // for print: paper cannot be clicked
  addEventListener("beforeprint", () => { opened = closed(); for (const one of opened) one.open = true; });
  addEventListener("afterprint", () => { for (const one of opened) one.open = false; opened = []; });
  addEventListener("hashchange", () => show(false));
  show(true);
})();
