// Draws Bokeh's plots, fills them with series, and lets a point be chosen on the map, by pointer or
// keys, or from the list. Text that users named only ever becomes text nodes.
"use strict";
(async () => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const element = (id) => document.getElementById(id);
  const data = read("data");
  const plots = read("plots");
  const packed = data.series;
  const n = data.names.length;
  const LANE = 1.15; // a lane and the gap above it, in units of a lane
  const FAINT = 0.06;
  const STRONG = 0.75;

  // The levels of every series, and what they stand for; see sampling.py.
  const bytes = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0)).buffer;
  const levels = new Uint16Array(bytes(packed.values));
  const ranges = new Float64Array(bytes(packed.ranges));
  const starts = [0];
  for (const steps of packed.n_steps) starts.push(starts.at(-1) + 2 * steps * packed.n_channels);

  const decoded = (place) => {
    const [steps, channels] = [packed.n_steps[place], packed.n_channels];
    const line = (half, channel) => {
      const low = ranges[2 * channels * place + channel];
      const step = ranges[2 * channels * place + channels + channel];
      const start = starts[place] + (half * channels + channel) * steps;
      const values = Array.from(levels.subarray(start, start + steps), (level) =>
        level === 0 ? NaN : low + (level - 1) * step,
      );
      if (channels === 1) return values;
      const [foot, height] = packed.lanes[channel];
      return values.map((value) => LANE * (channels - 1 - channel) + (value - foot) / height);
    };
    const width = packed.widths[place];
    const last = packed.lengths[place] - 1;
    const times = Array.from({ length: steps }, (_, step) =>
      width === 0 ? step : Math.min(((step + 0.5) * width) / 2, last),
    );
    const all = Array.from({ length: channels }, (_, channel) => channel);
    return { times, series: all.map((c) => line(0, c)), rebuilt: all.map((c) => line(1, c)) };
  };

  // Values that no line reaches, between two gaps, or of a series of one timestep.
  const alone = ({ times, series }) => {
    const found = { x: [], y: [] };
    for (const line of series) {
      line.forEach((value, step) => {
        const before = step > 0 ? line[step - 1] : NaN;
        const after = step + 1 < line.length ? line[step + 1] : NaN;
        if (!isNaN(value) && isNaN(before) && isNaN(after)) {
          found.x.push(times[step]);
          found.y.push(value);
        }
      });
    }
    return found;
  };

  const embed = async (id) => {
    if (!(id in plots)) return null;
    const manager = await Bokeh.embed.embed_item(plots[id], id);
    const [view] = manager.roots;
    const source = (name) => view.model.document.get_model_by_name(name);
    return { view, source };
  };

  const fill = (plot, place) => {
    const drawn = decoded(place);
    const xs = drawn.series.map(() => drawn.times);
    plot.source("series").data = { xs, ys: drawn.series };
    plot.source("rebuilt").data = { xs, ys: drawn.rebuilt };
    plot.source("alone").data = alone(drawn);
    const { x_range, y_range } = plot.view.model;
    x_range.setv({ start: -0.02 * packed.lengths[place], end: 1.02 * packed.lengths[place] - 1 });
    if (drawn.series.length > 1) {
      y_range.setv({ start: -0.15, end: LANE * drawn.series.length });
      return;
    }
    const seen = [...drawn.series[0], ...drawn.rebuilt[0]].filter((value) => !isNaN(value));
    const [least, greatest] = seen.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [seen[0], seen[0]]);
    const margin = 0.07 * (greatest - least) || 0.1 * Math.abs(greatest) || 1;
    y_range.setv({ start: least - margin, end: greatest + margin });
  };

  const isWrong = (place) =>
    data.labels !== null &&
    data.predictions !== null &&
    data.labels[place] !== data.predictions[place];

  const factsOf = (place) => {
    const rank = `${data.ranks[place].toLocaleString("en")} of ${data.total.toLocaleString("en")}`;
    const facts = [`error ${data.errors[place]}, rank ${rank}`];
    if (data.labels) facts.push(`class: ${data.classes[data.labels[place]]}`);
    if (data.predictions) {
      const probability = data.confidences ? ` (${(100 * data.confidences[place]).toFixed(1)} %)` : "";
      facts.push(`predicted: ${data.classes[data.predictions[place]]}${probability}`);
    }
    facts.push(`${packed.lengths[place].toLocaleString("en")} timesteps`);
    return facts;
  };

  const tell = (place) => {
    const name = document.createElement("strong");
    const isolated = document.createElement("bdi");
    isolated.textContent = data.names[place];
    name.append(isolated);
    const facts = factsOf(place).map((fact) => {
      const span = document.createElement("span");
      span.textContent = fact;
      return span;
    });
    if (isWrong(place)) {
      const mark = document.createElement("span");
      mark.className = "wrong-mark";
      mark.textContent = "wrong";
      facts.push(mark);
    }
    element("facts").replaceChildren(name, ...facts);
  };

  Bokeh.set_log_level("warn");
  const [map, detail] = await Promise.all([embed("map"), embed("detail")]);
  const points = map.source("points");
  const [px, py] = [Array.from(points.data.x), Array.from(points.data.y)];
  const chooser = element("chooser");
  const shown = element("shown");
  let chosen = 0;
  let visible = new Set(Array(n).keys());

  const show = (place) => {
    fill(detail, place);
    tell(place);
    map.source("chosen").data = { x: [px[place]], y: [py[place]] };
  };
  const choose = (place) => {
    chosen = place;
    chooser.value = String(place);
    show(place);
  };

  // Of the points under the pointer, the nearest that is not faint.
  const nearest = (indices, geometry) => {
    const frame = map.view.frame;
    const x = frame.x_scale.invert(geometry.sx);
    const y = frame.y_scale.invert(geometry.sy);
    const distance = (place) => Math.hypot(px[place] - x, py[place] - y);
    const candidates = indices.filter((place) => visible.has(place));
    return candidates.sort((a, b) => distance(a) - distance(b))[0];
  };
  let hovered = null;
  points.inspect.connect(([, { geometry }]) => {
    const place = nearest([...points.inspected.indices], geometry) ?? null;
    if (place === hovered) return;
    hovered = place;
    show(place ?? chosen);
  });
  points.selected.properties.indices.change.connect(() => {
    const indices = [...points.selected.indices].filter((place) => visible.has(place));
    if (indices.length > 0) choose(indices.includes(hovered) ? hovered : indices[0]);
  });

  const optionsOf = (places) =>
    places.map((place) => {
      const known = data.labels ?? data.predictions;
      const kind = known ? ` · class ${data.classes[known[place]]}` : "";
      const wrong = isWrong(place) ? `, predicted ${data.classes[data.predictions[place]]}` : "";
      return new Option(`${data.names[place]}${kind}${wrong} · error ${data.errors[place]}`, place);
    });
  const restrict = () => {
    const known = data.labels ?? data.predictions;
    const kept = (place) =>
      shown.value === "all" || (shown.value === "wrong" ? isWrong(place) : known[place] === Number(shown.value));
    const places = Array.from(Array(n).keys()).filter(kept);
    visible = new Set(places);
    chooser.replaceChildren(...optionsOf(places));
    points.data = { ...points.data, alpha: px.map((_, place) => (visible.has(place) ? STRONG : FAINT)) };
    if (places.length > 0) choose(visible.has(chosen) ? chosen : places[0]);
  };
  const places = Array.from(Array(n).keys());
  shown.append(new Option(`all ${n.toLocaleString("en")} drawn`, "all"));
  const nWrong = places.filter(isWrong).length;
  if (nWrong > 0) shown.append(new Option(`wrongly predicted, ${nWrong}`, "wrong"));
  const coloured = data.labels ?? data.predictions;
  if (coloured !== null) {
    const counts = data.classes.map(() => 0);
    for (const code of coloured) counts[code] += 1;
    counts.forEach((count, code) => {
      if (count > 0) shown.append(new Option(`class: ${data.classes[code]}, ${count.toLocaleString("en")}`, code));
    });
  }
  shown.addEventListener("change", restrict);
  chooser.addEventListener("change", () => choose(Number(chooser.value)));

  // The arrow keys go to the nearest point within 45 degrees of their direction.
  const directions = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  element("map").addEventListener("keydown", (event) => {
    const direction = directions[event.key];
    if (direction === undefined) return;
    event.preventDefault();
    let [best, least] = [null, Infinity];
    for (const place of visible) {
      const [dx, dy] = [px[place] - px[chosen], py[place] - py[chosen]];
      const along = dx * direction[0] + dy * direction[1];
      const aside = Math.abs(dx * direction[1]) + Math.abs(dy * direction[0]);
      const distance = Math.hypot(dx, dy);
      if (along > 0 && aside <= along && distance < least) [best, least] = [place, distance];
    }
    if (best !== null) choose(best);
  });

  for (const button of document.querySelectorAll("button[data-place]")) {
    button.addEventListener("click", () => {
      shown.value = "all";
      restrict();
      choose(Number(button.dataset.place));
      element("series").scrollIntoView();
      element("map").focus({ preventScroll: true });
    });
  }
  restrict();

  // Plots further down are drawn when they come near, so that the page opens at once.
  const all = [map, detail];
  const drawWhenNear = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        if (!isIntersecting) continue;
        drawWhenNear.unobserve(target);
        draw(target.id);
      }
    },
    { rootMargin: "600px" },
  );
  const draw = async (id) => {
    const plot = await embed(id);
    if (id.startsWith("anomaly-")) fill(plot, Number(id.slice("anomaly-".length)));
    all.push(plot);
    unfocusable(plot);
  };
  // The canvas is of no use to keys: the map's own element takes them.
  const unfocusable = (plot) => {
    plot.view.canvas_view.events_el.tabIndex = -1;
  };
  all.forEach(unfocusable);
  for (const id of Object.keys(plots)) {
    if (id !== "map" && id !== "detail") drawWhenNear.observe(element(id));
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const plot of all) plot.view.invalidate_layout();
  });
  document.documentElement.dataset.ready = "yes";
})();
