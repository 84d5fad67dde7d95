"use strict"
// Draws the figures, gives them the page's colours, and makes the table of trials, whose selection is the figures'.

;(async () => {
  const read = (name) => JSON.parse(document.getElementById(name).textContent)
  const { roots, table, axes, lowIsBest } = read("report-data")
  if (Object.keys(roots).length === 0) return

  await Bokeh.embed.embed_items({ report: read("report-figures") }, []) // made, but not drawn before it has its colours
  const report = Bokeh.documents[0]
  const models = [...report.all_models]
  const figures = Object.fromEntries(report.roots().map((figure) => [roots[figure.id], figure]))
  const trials = models.find((model) => model.name === "trials")

  paint()
  darkness().addEventListener("change", paint)
  if (matchMedia("(pointer: coarse)").matches) for (const figure of Object.values(figures)) figure.toolbar.active_drag = null
  chooseAxes()
  fillTable()
  await drawWhenSeen()

  // ---- drawing -----------------------------------------------------------------------------------------------------

  // Draws what is on the screen at once, and the rest when nothing else is to be done, or when it comes near.
  async function drawWhenSeen() {
    const waiting = new Map(Object.entries(figures).map(([name, figure]) => [document.getElementById(name), figure]))
    report.freeze_all_models(() => Object.values(figures).forEach((figure) => report.remove_root(figure)))
    const places = []
    await Bokeh.embed.add_document_standalone(report, document.body, places)
    const draw = (place) => {
      const figure = waiting.get(place)
      if (!figure) return
      waiting.delete(place)
      places[report.roots().length] = place
      for (const legend of figure.above.filter((part) => part.type === "Legend"))
        legend.ncols = Math.max(2, Math.floor(place.clientWidth / 92))
      report.add_root(figure)
    }
    const near = new IntersectionObserver((seen) => seen.filter((each) => each.isIntersecting).forEach((each) => draw(each.target)))
    for (const place of waiting.keys()) near.observe(place)
    const whenIdle = window.requestIdleCallback ?? ((then) => setTimeout(then, 50))
    const drawNext = () => {
      if (waiting.size === 0) return
      draw(waiting.keys().next().value)
      whenIdle(drawNext)
    }
    whenIdle(drawNext)
    addEventListener("beforeprint", () => [...waiting.keys()].forEach(draw))
  }

  // ---- light and dark ----------------------------------------------------------------------------------------------

  function darkness() {
    return matchMedia("(prefers-color-scheme: dark)")
  }

  // Gives every part of every figure the colours of the page, and its own for this ground where it has a pair of them.
  function paint() {
    const shade = Number(darkness().matches)
    const style = getComputedStyle(document.documentElement)
    const [ground, text, faint, line] = ["ground", "text", "faint", "line"].map((name) => style.getPropertyValue(`--${name}`).trim())
    const wanted = {
      background_fill_color: ground, border_fill_color: ground, outline_line_color: line, grid_line_color: line,
      axis_line_color: faint, major_tick_line_color: faint, minor_tick_line_color: faint, bar_line_color: null,
      axis_label_text_color: text, major_label_text_color: text, label_text_color: text, title_text_color: text,
    }
    for (const model of models) {
      const pair = model.tags
      if (pair.length === 2 && model.type.endsWith("Mapper")) model.palette = pair[shade]
      else if (pair.length === 2) recolour(model, pair[shade])
      else model.setv(Object.fromEntries(Object.entries(wanted).filter(([name]) => name in model.properties)))
    }
  }

  function recolour(renderer, colour) {
    const glyphs = ["glyph", "selection_glyph", "nonselection_glyph", "hover_glyph", "muted_glyph"].map((name) => renderer[name])
    for (const glyph of glyphs.filter((each) => each && each.properties))
      for (const name of ["line_color", "fill_color", "text_color"]) if (name in glyph.properties) glyph[name] = { value: colour }
  }

  // ---- any two parameters ------------------------------------------------------------------------------------------

  function chooseAxes() {
    for (const [name, side] of [["across", "x"], ["up", "y"]]) {
      const select = document.getElementById(`select-${name}`)
      if (select) select.addEventListener("change", () => setAxis(figures.contour, side, axes[Number(select.value)]))
    }
  }

  function setAxis(figure, side, wanted) {
    const { LogScale, LinearScale, LogTicker, BasicTicker, FixedTicker, LogTickFormatter, BasicTickFormatter } = Bokeh.Models
    const axis = side === "x" ? figure.below[0] : figure.left[0]
    const grid = figure.center.find((part) => part.type === "Grid" && part.dimension === (side === "x" ? 0 : 1))
    const { start, end, isLog, labels } = wanted
    const ticker = labels.length ? new FixedTicker({ ticks: labels.map((_, place) => place) }) : isLog ? new LogTicker() : new BasicTicker()
    axis.ticker = grid.ticker = ticker
    axis.formatter = isLog ? new LogTickFormatter({ ticker }) : new BasicTickFormatter()
    axis.major_label_overrides = new Map(labels.map((label, place) => [place, label]))
    axis.axis_label = wanted.name
    figure[`${side}_scale`] = isLog ? new LogScale() : new LinearScale()
    figure[`${side}_range`].setv({ start, end, reset_start: start, reset_end: end })
    for (const { glyph, selection_glyph, nonselection_glyph } of figure.renderers)
      for (const each of [glyph, selection_glyph, nonselection_glyph]) if (each.properties) each[side] = { field: wanted.field }
  }

  // ---- the table of trials -----------------------------------------------------------------------------------------

  function fillTable() {
    const perPage = 25
    const byId = (name) => document.getElementById(name)
    const [filter, only] = [byId("filter"), byId("only")]
    const count = trials.data.number.length
    let [sorted, ascending, page, rows] = [null, true, 0, []]

    const value = (column, row) => trials.data[column.field][row]
    const cell = (column, row) => {
      const found = value(column, row)
      if (column.labels) return column.labels[found] ?? ""
      if (typeof found !== "number") return found
      return !Number.isFinite(found) ? "" : String(Number.isInteger(found) ? found : Number(found.toPrecision(6)))
    }
    const texts = new Map()
    const line = (row) => {
      if (!texts.has(row)) texts.set(row, table.map((column) => cell(column, row)).join("\u0000").toLowerCase())
      return texts.get(row)
    }

    // A word of the filter as a test of a row: a condition such as `value>0.9`, or else a text to find.
    function condition(word) {
      const [, name, sign, wanted] = /^(.+?)(<=|>=|=|<|>)(.+)$/.exec(word) ?? []
      const named = (each) => [each.title, each.field].some((title) => title.toLowerCase().replaceAll(" ", "_") === name)
      const column = table.find(named)
      if (!column) return (row) => line(row).includes(word)
      if (sign === "=") return (row) => cell(column, row).toLowerCase() === wanted || Number(cell(column, row) || NaN) === Number(wanted)
      const compare = { "<": (a, b) => a < b, ">": (a, b) => a > b, "<=": (a, b) => a <= b, ">=": (a, b) => a >= b }[sign]
      return (row) => cell(column, row) !== "" && compare(Number(cell(column, row)), Number(wanted))
    }

    function refresh() {
      const tests = filter.value.toLowerCase().split(/\s+/).filter(Boolean).map(condition)
      const picked = new Set(trials.selected.indices)
      rows = Array.from({ length: count }, (_, row) => row)
      if (only.checked && picked.size) rows = rows.filter((row) => picked.has(row))
      for (const test of tests) rows = rows.filter(test)
      if (sorted) rows.sort((one, other) => order(one, other) || one - other)
      show()
    }

    // What is missing comes last in either order.
    function order(one, other) {
      const [a, b] = [key(one), key(other)]
      const missing = (each) => each === "" || each === null
      if (missing(a) || missing(b)) return Number(missing(a)) - Number(missing(b))
      const difference = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b))
      return ascending ? difference : -difference
    }

    function key(row) {
      const found = value(sorted, row)
      if (sorted.labels) return found < 0 ? "" : sorted.field === "reason" ? cell(sorted, row) : found
      return typeof found === "number" && !Number.isFinite(found) ? "" : found
    }

    function show() {
      const pages = Math.max(1, Math.ceil(rows.length / perPage))
      page = Math.min(page, pages - 1)
      const picked = new Set(trials.selected.indices)
      body.replaceChildren(...rows.slice(page * perPage, (page + 1) * perPage).map((row) => rowOf(row, picked.has(row))))
      const chosen = picked.size ? `, ${picked.size.toLocaleString("en")} selected` : ""
      byId("page-of").textContent = `page ${page + 1} of ${pages}: ${rows.length.toLocaleString("en")} of ${count.toLocaleString("en")} trials${chosen}`
      byId("previous").disabled = page === 0
      byId("next").disabled = page === pages - 1
      byId("clear").disabled = picked.size === 0
      byId("select-shown").disabled = rows.length === 0
    }

    function rowOf(row, isPicked) {
      const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: isPicked })
      box.setAttribute("aria-label", `select trial ${trials.data.number[row]}`)
      box.addEventListener("change", () => pick(row, box.checked))
      const made = document.createElement("tr")
      made.className = isPicked ? "picked" : ""
      made.append(document.createElement("td"))
      made.firstChild.append(box)
      for (const column of table) {
        const td = made.appendChild(document.createElement("td"))
        td.textContent = cell(column, row)
        td.className = column.field === "reason" ? "long" : typeof value(column, row) === "number" && (column.labels ?? []).every((label) => !Number.isNaN(Number(label))) ? "number" : ""
      }
      return made
    }

    function pick(row, isPicked) {
      const others = trials.selected.indices.filter((each) => each !== row)
      trials.selected.indices = isPicked ? [...others, row] : others
    }

    function sort(column) {
      ascending = sorted === column ? !ascending : column !== table[1] || lowIsBest
      sorted = column
      page = 0
      for (const [place, heading] of [...head.children].slice(1).entries()) {
        const isIt = table[place] === column
        if (isIt) heading.setAttribute("aria-sort", ascending ? "ascending" : "descending")
        else heading.removeAttribute("aria-sort")
        heading.firstChild.textContent = table[place].title + (isIt ? (ascending ? " ▲" : " ▼") : "")
      }
      refresh()
    }

    const head = byId("trial-table").createTHead().insertRow()
    head.append(document.createElement("td"))
    for (const column of table) {
      const heading = head.appendChild(Object.assign(document.createElement("th"), { scope: "col" }))
      const button = heading.appendChild(Object.assign(document.createElement("button"), { type: "button", textContent: column.title }))
      button.addEventListener("click", () => sort(column))
    }
    const body = byId("trial-table").createTBody()

    filter.addEventListener("input", () => ((page = 0), refresh()))
    only.addEventListener("change", () => ((page = 0), refresh()))
    byId("previous").addEventListener("click", () => ((page -= 1), show()))
    byId("next").addEventListener("click", () => ((page += 1), show()))
    byId("clear").addEventListener("click", () => (trials.selected.indices = []))
    byId("select-shown").addEventListener("click", () => (trials.selected.indices = [...rows].sort((one, other) => one - other)))
    trials.selected.properties.indices.change.connect(() => (only.checked ? refresh() : show()))
    sort(table[1])
  }
})()
