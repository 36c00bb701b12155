// Draws Bokeh's plots, fills them with series, and handles the selection of a series: on the map, by
// pointer or arrow keys, or from the list. Names that come from the user only ever become text nodes.
"use strict";
(async () => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const element = (id) => document.getElementById(id);
  const data = read("data");
  const plots = read("plots");
  const packed = data.series;
  const n = data.names.length;
  const LANE_SPACING = 1.15; // a lane and the gap above it, in units of a lane
  const FAINT = 0.06;
  const STRONG = 0.75;
  const SHADE_OPACITY = 0.45; // as in display/shading.py

  // The packed values of every series, and their scales; see drawn_series.py.
  const bytes = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0)).buffer;
  const levels = new Uint16Array(bytes(packed.values));
  const ranges = new Float64Array(bytes(packed.ranges));
  const starts = [0];
  for (const steps of packed.n_steps) starts.push(starts.at(-1) + 2 * steps * packed.n_channels);
  const shades = new Uint8Array(bytes(packed.shades));
  const nColumns = packed.n_steps.map((steps, index) => (packed.widths[index] === 0 ? steps : steps / 2));
  const shadeStarts = [0];
  for (const columns of nColumns) shadeStarts.push(shadeStarts.at(-1) + columns * packed.n_channels);

  // A series and its reconstruction: one array per channel, in the units of the plot's y axis.
  const unpack = (index) => {
    const [steps, channels] = [packed.n_steps[index], packed.n_channels];
    const line = (half, channel) => {
      const low = ranges[2 * channels * index + channel];
      const step = ranges[2 * channels * index + channels + channel];
      const start = starts[index] + (half * channels + channel) * steps;
      const values = Array.from(levels.subarray(start, start + steps), (level) =>
        level === 0 ? NaN : low + (level - 1) * step,
      );
      if (channels === 1) return values;
      const [bottom, height] = packed.lanes[channel];
      return values.map((value) => LANE_SPACING * (channels - 1 - channel) + (value - bottom) / height);
    };
    const width = packed.widths[index];
    const last = packed.lengths[index] - 1;
    const times = Array.from({ length: steps }, (_, step) =>
      width === 0 ? step : Math.min(((step + 0.5) * width) / 2, last),
    );
    const lines = (half) => Array.from({ length: channels }, (_, channel) => line(half, channel));
    return { times, series: lines(0), reconstruction: lines(1) };
  };

  // Values without a line to a neighbour: between two gaps, or in a series of one timestep.
  const isolatedValues = ({ times, series }) => {
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

  // Rectangles behind the stretches of a series with large errors; low and high are the y axis.
  const shadesOf = (index, low, high) => {
    const found = { left: [], right: [], bottom: [], top: [], alpha: [] };
    const [columns, channels] = [nColumns[index], packed.n_channels];
    const width = Math.max(1, packed.widths[index]);
    for (let channel = 0; channel < channels; channel++) {
      const bottom = LANE_SPACING * (channels - 1 - channel);
      const start = shadeStarts[index] + channel * columns;
      const levels = shades.subarray(start, start + columns);
      for (let first = 0, last = 0; first < columns; first = last) {
        while (last < columns && levels[last] === levels[first]) last += 1;
        if (levels[first] === 0) continue;
        found.left.push(first * width - 0.5);
        found.right.push(Math.min(last * width, packed.lengths[index]) - 0.5);
        found.bottom.push(channels === 1 ? low : bottom);
        found.top.push(channels === 1 ? high : bottom + 1);
        found.alpha.push((SHADE_OPACITY * levels[first]) / 255);
      }
    }
    return found;
  };

  // The strip below a series: how much each stretch speaks for the prediction, or against it.
  const [FOR, AGAINST, STRIP, MIN_CAUSE] = ["#d6344c", "#3b6fd4", 0.07, 0.05];
  const causesOf = (index, low, high) => {
    const found = { left: [], right: [], bottom: [], top: [], alpha: [], colour: [] };
    if (!data.causes || index >= data.causes.values.length) return found;
    const { width, values, largest } = data.causes;
    values[index].forEach((value, stretch) => {
      found.left.push(stretch * width - 0.5);
      found.right.push(Math.min((stretch + 1) * width, packed.lengths[index]) - 0.5);
      found.bottom.push(low);
      found.top.push(high);
      // The root shows weak causes, too.
      found.alpha.push(Math.sqrt(Math.min(1, Math.abs(value) / largest)));
      found.colour.push(value >= 0 ? FOR : AGAINST);
    });
    return found;
  };
  const mainCause = (index) => {
    if (!data.causes || index >= data.causes.values.length) return null;
    const { width, values, largest } = data.causes;
    const best = Math.max(...values[index]);
    if (!(best > MIN_CAUSE * largest)) return null;
    const first = values[index].indexOf(best) * width;
    const last = Math.min(first + width, packed.lengths[index]) - 1;
    return `rests most on timesteps ${first} to ${last}`;
  };

  const embed = async (id) => {
    if (!(id in plots)) return null;
    const manager = await Bokeh.embed.embed_item(plots[id], id);
    const [view] = manager.roots;
    const source = (name) => view.model.document.get_model_by_name(name);
    return { view, source };
  };

  const fill = (plot, index) => {
    const drawn = unpack(index);
    const xs = drawn.series.map(() => drawn.times);
    plot.source("series").data = { xs, ys: drawn.series };
    plot.source("reconstruction").data = { xs, ys: drawn.reconstruction };
    plot.source("isolated").data = isolatedValues(drawn);
    const { x_range, y_range } = plot.view.model;
    x_range.setv({ start: -0.02 * packed.lengths[index], end: 1.02 * packed.lengths[index] - 1 });
    if (drawn.series.length > 1) {
      const end = LANE_SPACING * drawn.series.length;
      const strip = data.causes ? STRIP * end : 0;
      y_range.setv({ start: -0.15 - strip, end });
      plot.source("shades").data = shadesOf(index);
      plot.source("causes").data = causesOf(index, -0.15 - strip, -0.15);
      return;
    }
    const values = [...drawn.series[0], ...drawn.reconstruction[0]].filter((value) => !isNaN(value));
    const [low, high] = values.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [values[0], values[0]]);
    const margin = 0.07 * (high - low) || 0.1 * Math.abs(high) || 1;
    const strip = data.causes ? STRIP * (high - low + 2 * margin) : 0;
    y_range.setv({ start: low - margin - strip, end: high + margin });
    plot.source("causes").data = causesOf(index, low - margin - strip, low - margin);
    plot.source("shades").data = shadesOf(index, low - margin, high + margin);
  };

  const isMisclassified = (index) =>
    data.labels !== null &&
    data.predictions !== null &&
    data.labels[index] !== data.predictions[index];

  const factsAbout = (index) => {
    const rank = `${data.ranks[index].toLocaleString("en")} of ${data.total.toLocaleString("en")}`;
    const facts = [`error ${data.errors[index]} (rank ${rank})`];
    if (data.facts) facts.push(...data.facts[index]);
    if (data.labels) facts.push(`class: ${data.classes[data.labels[index]]}`);
    if (data.predictions) {
      const probability = data.confidences ? ` (${(100 * data.confidences[index]).toFixed(1)}%)` : "";
      facts.push(`predicted: ${data.classes[data.predictions[index]]}${probability}`);
    }
    const cause = mainCause(index);
    if (cause) facts.push(cause);
    const length = packed.lengths[index];
    facts.push(`${length.toLocaleString("en")} timestep${length === 1 ? "" : "s"}`);
    return facts;
  };

  const describe = (index) => {
    const name = document.createElement("strong");
    const isolated = document.createElement("bdi");
    isolated.textContent = data.names[index];
    name.append(isolated);
    const facts = factsAbout(index).map((fact) => {
      const span = document.createElement("span");
      span.textContent = fact;
      return span;
    });
    if (isMisclassified(index)) {
      const mark = document.createElement("span");
      mark.className = "wrong-mark";
      mark.textContent = "wrong";
      facts.push(mark);
    }
    element("series-info").replaceChildren(name, ...facts);
  };

  Bokeh.set_log_level("warn");
  const [map, detail] = await Promise.all([embed("map"), embed("detail")]);
  const points = map.source("points");
  const [px, py] = [Array.from(points.data.x), Array.from(points.data.y)];
  const list = element("series-list");
  const filter = element("filter");
  let selected = 0;
  let visible = new Set(Array(n).keys());

  const show = (index) => {
    fill(detail, index);
    describe(index);
    map.source("selected").data = { x: [px[index]], y: [py[index]] };
  };
  const select = (index) => {
    selected = index;
    list.value = String(index);
    show(index);
  };

  // The nearest point under the pointer, of those that are not faint.
  const nearest = (indices, geometry) => {
    const frame = map.view.frame;
    const x = frame.x_scale.invert(geometry.sx);
    const y = frame.y_scale.invert(geometry.sy);
    const distance = (index) => Math.hypot(px[index] - x, py[index] - y);
    const candidates = indices.filter((index) => visible.has(index));
    return candidates.sort((a, b) => distance(a) - distance(b))[0];
  };
  let hovered = null;
  points.inspect.connect(([, { geometry }]) => {
    const index = nearest([...points.inspected.indices], geometry) ?? null;
    if (index === hovered) return;
    hovered = index;
    show(index ?? selected);
  });
  points.selected.properties.indices.change.connect(() => {
    const indices = [...points.selected.indices].filter((index) => visible.has(index));
    if (indices.length > 0) select(indices.includes(hovered) ? hovered : indices[0]);
  });

  const coloured = data.labels ?? data.predictions;
  const everything = Array.from(Array(n).keys());

  const optionsOf = (indices) =>
    indices.map((index) => {
      const kind = coloured ? ` · class ${data.classes[coloured[index]]}` : "";
      const wrong = isMisclassified(index) ? `, predicted ${data.classes[data.predictions[index]]}` : "";
      const numbers = data.facts ? ` · ${data.facts[index].join(", ")}` : "";
      return new Option(`${data.names[index]}${kind}${numbers}${wrong} · error ${data.errors[index]}`, index);
    });
  const applyFilter = () => {
    const isKept = (index) =>
      filter.value === "all" ||
      (filter.value === "wrong" ? isMisclassified(index) : coloured[index] === Number(filter.value));
    const kept = everything.filter(isKept);
    visible = new Set(kept);
    list.replaceChildren(...optionsOf(kept));
    points.data = { ...points.data, alpha: px.map((_, index) => (visible.has(index) ? STRONG : FAINT)) };
    if (kept.length > 0) select(visible.has(selected) ? selected : kept[0]);
  };
  filter.append(new Option(`all series drawn (${n.toLocaleString("en")})`, "all"));
  const nWrong = everything.filter(isMisclassified).length;
  if (nWrong > 0) filter.append(new Option(`misclassified (${nWrong.toLocaleString("en")})`, "wrong"));
  if (coloured !== null) {
    const counts = data.classes.map(() => 0);
    for (const code of coloured) counts[code] += 1;
    counts.forEach((count, code) => {
      if (count > 0) filter.append(new Option(`class ${data.classes[code]} (${count.toLocaleString("en")})`, code));
    });
  }
  filter.addEventListener("change", applyFilter);
  list.addEventListener("change", () => select(Number(list.value)));

  // An arrow key selects the nearest point within 45 degrees of its direction.
  const directions = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  element("map").addEventListener("keydown", (event) => {
    const direction = directions[event.key];
    if (direction === undefined) return;
    event.preventDefault();
    let [best, smallest] = [null, Infinity];
    for (const index of visible) {
      const [dx, dy] = [px[index] - px[selected], py[index] - py[selected]];
      const along = dx * direction[0] + dy * direction[1];
      const across = Math.abs(dx * direction[1]) + Math.abs(dy * direction[0]);
      const distance = Math.hypot(dx, dy);
      if (along > 0 && across <= along && distance < smallest) [best, smallest] = [index, distance];
    }
    if (best !== null) select(best);
  });

  for (const button of document.querySelectorAll("button[data-index]")) {
    button.addEventListener("click", () => {
      filter.value = "all";
      applyFilter();
      select(Number(button.dataset.index));
      element("series").scrollIntoView();
      element("map").focus({ preventScroll: true });
    });
  }
  applyFilter();

  // The other plots are drawn as they come near the window, so that the page opens at once.
  const drawn = [map, detail];
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
    drawn.push(plot);
    makeUnfocusable(plot);
  };
  // Bokeh's canvas does not respond to keys; the element around the map does.
  const makeUnfocusable = (plot) => {
    plot.view.canvas_view.events_el.tabIndex = -1;
  };
  drawn.forEach(makeUnfocusable);
  for (const id of Object.keys(plots)) {
    if (id !== "map" && id !== "detail") drawWhenNear.observe(element(id));
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const plot of drawn) plot.view.invalidate_layout();
  });
  document.documentElement.dataset.ready = "yes";
})();
