"use strict";
// With scripts: each drawing becomes a live chart when it comes into view. Dragging across it zooms, a double click
// shows all again, and a click in a legend switches a series; charts of one group do so together.
(() => {
  const groups = new Map();

  function groupOf(panel) {
    const key = panel.closest("figure").dataset.group || panel.closest("figure");
    if (!groups.has(key)) groups.set(key, {charts: [], panels: [], span: null, off: []});
    return groups.get(key);
  }

  function apply(group) {
    for (const {view, whole} of group.charts) {
      view.signal("span", group.span || whole).signal("off", group.off).runAsync();
    }
    for (const panel of group.panels) {
      for (const button of panel.querySelectorAll(".legend button")) {
        button.setAttribute("aria-pressed", String(!group.off.includes(button.dataset.name)));
      }
      const reset = panel.querySelector(".reset");
      if (reset) reset.hidden = !group.span;
    }
  }

  function toggle(group, name) {
    group.off = group.off.includes(name) ? group.off.filter((one) => one !== name) : [...group.off, name];
    apply(group);
  }

  function zoom(group, span) {
    group.span = span;
    apply(group);
  }

  // The pointer's x on a chart's axis, kept within the plot; pixels from the plot's left edge.
  function across(view, chart, event) {
    const [left] = view.origin();
    return Math.min(Math.max(event.clientX - chart.getBoundingClientRect().left - left, 0), view.signal("width"));
  }

  function selectable(view, chart, group) {
    let from = null;
    const brush = document.createElement("div");
    brush.className = "brush";
    chart.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.pointerType === "touch") return;
      from = across(view, chart, event);
      event.preventDefault();
    });
    window.addEventListener("pointermove", (event) => {
      if (from === null) return;
      const to = across(view, chart, event), [left, top] = view.origin();
      Object.assign(brush.style, {left: `${left + Math.min(from, to)}px`, width: `${Math.abs(to - from)}px`,
        top: `${top}px`, height: `${view.signal("height")}px`});
      if (!brush.parentNode) chart.append(brush);
    });
    window.addEventListener("pointerup", (event) => {
      if (from === null) return;
      const ends = [from, across(view, chart, event)].sort((one, other) => one - other);
      from = null;
      brush.remove();
      if (ends[1] - ends[0] > 4) zoom(group, ends.map((x) => view.scale("x").invert(x)));
    });
    chart.addEventListener("dblclick", () => zoom(group, null));
  }

  async function enliven(panel) {
    const chart = panel.querySelector(".chart"), group = groupOf(panel);
    const specification = JSON.parse(panel.querySelector("script").textContent);
    const place = document.createElement("div");
    place.className = "chart";
    place.style.position = "absolute";
    place.style.visibility = "hidden";
    chart.before(place);
    panel.classList.add("live");
    const {view} = await vegaEmbed(place, specification, {renderer: "svg", actions: false});
    place.removeAttribute("style");
    chart.remove();
    group.panels.push(panel);
    if (specification.params) {
      group.charts.push({view, whole: view.signal("span")});
      const reset = document.createElement("button");
      Object.assign(reset, {className: "reset", textContent: "show all", hidden: true, onclick: () => zoom(group, null)});
      panel.append(reset);
      selectable(view, place, group);
      for (const button of panel.querySelectorAll(".legend button")) {
        button.addEventListener("click", () => toggle(group, button.dataset.name));
      }
      if (group.span || group.off.length) apply(group);
    }
  }

  const seen = new IntersectionObserver((entries) => {
    for (const {isIntersecting, target} of entries) {
      if (isIntersecting) {
        seen.unobserve(target);
        enliven(target).catch(console.error);
      }
    }
  }, {rootMargin: "300px"});
  document.querySelectorAll(".panel").forEach((panel) => seen.observe(panel));
})();
