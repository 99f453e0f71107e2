// Classic script, after server.js: the functions that module pages use to send requests and to show answers.
// Globals are properties of window, so that a page may declare a variable of the same name. Every value from an answer
// is escaped before it becomes part of HTML, and HTML that a page hands in is cleaned of anything that would run.
(function () {
  "use strict";

  const BENCHMARK_LIST_EVERY_MS = 60_000;
  const SVG = "http://www.w3.org/2000/svg";
  const COLOURS = ["#e4572e", "#17a398", "#7768ae", "#f2a541", "#2e86ab", "#c2497f", "#5a9e3e", "#8d6a4f"];
  const byId = (id) => document.getElementById(id);

  // ---- requests ----

  window.submitRequest = async function submitRequest(route, apiName, images, parameters) {
    window.showError("", "");
    window.showCommunication(true);
    try {
      const answer = await fetch(requestUrl(route, apiName), {
        method: "POST", body: requestForm(images, parameters), signal: AbortSignal.timeout(window.millrace.timeoutMs()),
      });
      if (answer.ok) return await answer.json();
      window.showError("Request failed", `the server answered with HTTP ${answer.status}.`);
    } catch (error) {
      window.showError("Request failed", window.millrace.explain(error));
    } finally {
      window.showCommunication(false);
    }
    return null;
  };

  function requestUrl(route, apiName) {
    return `${window.millrace.serverUrl()}/v1/${route}${apiName ? `/${apiName}` : ""}`;
  }

  function requestForm(images, parameters) {
    const form = new FormData();
    [...(images ?? [])].forEach((file, index) => form.append(`image${index + 1}`, file));
    for (const [name, value] of parameters ?? []) form.append(name, value);
    return form;
  }

  window.delay = function delay(ms) {
    return new Promise((resolve) => {
      setTimeout(resolve, ms);
    });
  };

  // ---- results as text and tables ----

  window.setResultsHtml = function setResultsHtml(html) {
    const results = byId("results");
    if (results) results.replaceChildren(...cleanNodes(html));
  };

  window.getProcessingMetadataHtml = function getProcessingMetadataHtml(data) {
    const rows = [
      ["Processed by", data.moduleId ?? data.moduleName], ["On", data.processedBy],
      ["Round trip", ms(data.analysisRoundTripMs)], ["Processing", ms(data.processMs)],
      ["Inference", ms(data.inferenceMs)], ["Time (UTC)", data.timestampUTC],
    ].filter(([, value]) => value !== undefined && value !== null && value !== "");
    return `<table class="table table-sm mt-3 mr-metadata"><tbody>${rows.map(row).join("")}</tbody></table>`;
  };

  window.displayBaseResults = function displayBaseResults(data) {
    const ok = Boolean(data?.success);
    const text = ok ? data.message || "Success" : data?.error || data?.message || "The request failed.";
    window.setResultsHtml(
      `<p class="${ok ? "text-success" : "text-danger"}">${escape(text)}</p>` + window.getProcessingMetadataHtml(data ?? {}));
  };

  window.showPredictionSummary = function showPredictionSummary(data, sortByConfidence = true) {
    const predictions = ordered(data?.predictions, sortByConfidence);
    if (!data?.success || predictions.length === 0) {
      window.displayBaseResults(data?.success ? { ...data, message: data.message || "Nothing was found." } : data);
      return;
    }
    const head = '<tr><th scope="col">#</th><th scope="col">Label</th><th scope="col">Confidence</th></tr>';
    const body = predictions.map((one, index) =>
      `<tr><td>${index + 1}</td><td>${escape(nameOf(one))}</td><td>${window.confidence(one.confidence)}</td></tr>`).join("");
    window.setResultsHtml(
      `<table class="table table-sm table-striped"><thead>${head}</thead><tbody>${body}</tbody></table>` +
      window.getProcessingMetadataHtml(data));
  };

  window.confidence = function confidence(value) {
    return Number.isFinite(Number(value)) ? `${Math.round(Number(value) * 100)}%` : "";
  };

  function row([name, value]) {
    return `<tr><th scope="row">${escape(name)}</th><td>${escape(value)}</td></tr>`;
  }

  function ms(value) {
    return value === undefined || value === null ? null : `${value} ms`;
  }

  function nameOf(prediction) {
    return prediction.label ?? prediction.userid ?? prediction.plate ?? "";
  }

  function ordered(predictions, sortByConfidence) {
    const list = Array.isArray(predictions) ? [...predictions] : [];
    return sortByConfidence ? list.sort((a, b) => (b.confidence ?? 0) - (a.confidence ?? 0)) : list;
  }

  function escape(value) {
    const entities = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
    return String(value ?? "").replace(/[&<>"']/g, (character) => entities[character]);
  }

  // Parsing into a document of its own runs nothing; what could run later is taken out before the nodes are used.
  function cleanNodes(html) {
    const parsed = new DOMParser().parseFromString(String(html ?? ""), "text/html");
    for (const node of parsed.querySelectorAll("script,iframe,object,embed,base,link,meta,form[action],template")) node.remove();
    for (const node of parsed.querySelectorAll("*")) {
      for (const { name, value } of [...node.attributes]) if (couldRun(name, value)) node.removeAttribute(name);
    }
    return [...parsed.body.childNodes];
  }

  function couldRun(name, value) {
    if (/^on/i.test(name) || name.toLowerCase() === "srcdoc") return true;
    const link = value.replace(/[\u0000-\u0020]/g, "");
    return /^(javascript|vbscript):/i.test(link) || /^data:(?!image\/|audio\/|video\/)/i.test(link);
  }

  // ---- pictures ----

  window.previewImage = function previewImage(fileChooser) {
    if (fileChooser?.files?.length) window.showPreviewImage(fileChooser.files[0]);
    else window.clearImagePreview();
  };

  window.showPreviewImage = function showPreviewImage(file) {
    window.clearImagePreview();
    showFile(byId("imgPreview"), file);
  };

  window.clearImagePreview = function clearImagePreview() {
    hideMedia(byId("imgPreview"));
    byId("imgMask")?.replaceChildren();
  };

  window.showResultsImage = function showResultsImage(base64, width, height) {
    const image = byId("imgResult") ?? byId("imgPreview");
    if (!image) return;
    hideMedia(image);
    image.src = String(base64).startsWith("data:image/") ? base64 : `data:${imageType(base64)};base64,${base64}`;
    image.style.width = width ? `${Number(width)}px` : "";
    image.style.height = height ? `${Number(height)}px` : "";
    showMedia(image);
  };

  window.showResultsImageData = function showResultsImageData(data, width, height) {
    if (data?.imageBase64) window.showResultsImage(data.imageBase64, width, height);
  };

  window.clearImageResult = function clearImageResult() {
    hideMedia(byId("imgResult"));
    byId("imgMask")?.replaceChildren();
  };

  function imageType(base64) {
    const starts = { "/9j/": "image/jpeg", R0lG: "image/gif", UklG: "image/webp" };
    return starts[String(base64).slice(0, 4)] ?? "image/png";
  }

  function showFile(element, file) {
    if (!element || !file) return;
    element.dataset.objectUrl = URL.createObjectURL(file);
    element.src = element.dataset.objectUrl;
    showMedia(element);
  }

  function showMedia(element) {
    element.hidden = false;
    element.style.visibility = "visible";
  }

  function hideMedia(element) {
    if (!element) return;
    if (element.dataset.objectUrl) URL.revokeObjectURL(element.dataset.objectUrl);
    delete element.dataset.objectUrl;
    element.removeAttribute("src");
    element.hidden = true;
  }

  // ---- boxes and masks over the picture ----

  window.showResultsBoundingBoxes = function showResultsBoundingBoxes(predictions, sortByConfidence = true) {
    overlay(ordered(predictions, sortByConfidence), (one, colour, scale) => [box(one, colour), caption(one, colour, scale)]);
  };

  window.showResultsMasks = function showResultsMasks(predictions, sortByConfidence = true, cutout = false) {
    overlay(ordered(predictions, sortByConfidence), (one, colour, scale) =>
      [mask(one, colour, cutout), ...(cutout ? [] : [box(one, colour), caption(one, colour, scale)])], cutout);
  };

  function overlay(predictions, shapes, cutout = false) {
    const image = byId("imgPreview");
    const layer = byId("imgMask");
    if (!image || !layer) return;
    whenLoaded(image, () => {
      const { naturalWidth: width, naturalHeight: height } = image;
      const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": describe(predictions) });
      drawing.style.cssText = "position:absolute;inset:0;width:100%;height:100%";
      const scale = width / (image.clientWidth || width);
      const parts = predictions.flatMap((one, index) => shapes(one, COLOURS[index % COLOURS.length], scale));
      if (cutout) drawing.append(cover(width, height, parts));
      else drawing.append(...parts);
      layer.replaceChildren(drawing);
    });
  }

  function whenLoaded(image, action) {
    if (image.complete && image.naturalWidth) action();
    else image.addEventListener("load", action, { once: true });
  }

  function describe(predictions) {
    return `Found: ${predictions.map((one) => `${nameOf(one)} ${window.confidence(one.confidence)}`).join(", ") || "nothing"}`;
  }

  function svg(tag, attributes) {
    const node = document.createElementNS(SVG, tag);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, String(value));
    return node;
  }

  function box(one, colour) {
    return svg("rect", {
      x: one.x_min, y: one.y_min, width: Math.max(0, one.x_max - one.x_min), height: Math.max(0, one.y_max - one.y_min),
      fill: "none", stroke: colour, "stroke-width": 2, "vector-effect": "non-scaling-stroke",
    });
  }

  function caption(one, colour, scale) {
    const text = svg("text", {
      x: one.x_min, y: Math.max(14 * scale, one.y_min - 4 * scale), fill: colour, "font-size": 14 * scale,
      "font-family": "system-ui, sans-serif", "font-weight": 600, stroke: "#000", "stroke-width": 3 * scale,
      "paint-order": "stroke",
    });
    text.textContent = `${nameOf(one)} ${window.confidence(one.confidence)}`;
    return text;
  }

  function mask(one, colour, cutout) {
    const points = (Array.isArray(one.mask) ? one.mask : []).map((point) => point.join(",")).join(" ");
    return svg("polygon", { points, fill: cutout ? "#000" : colour, "fill-opacity": cutout ? 1 : 0.35, stroke: cutout ? "none" : colour });
  }

  // Everything but the masks is covered with the colour of the page.
  function cover(width, height, holes) {
    const group = svg("g", {});
    const keep = svg("mask", { id: "mr-cutout" });
    keep.append(svg("rect", { width, height, fill: "#fff" }), ...holes);
    const sheet = svg("rect", { width, height, mask: "url(#mr-cutout)" });
    sheet.style.fill = "var(--mr-card, #fff)";
    group.append(keep, sheet);
    return group;
  }

  // ---- sound ----

  window.previewSound = function previewSound(fileChooser) {
    if (fileChooser?.files?.length) window.setSound(fileChooser.files[0]);
  };

  window.setSound = function setSound(file) {
    const player = byId("sndPreview");
    hideMedia(player);
    showFile(player, file);
  };

  // ---- lists ----

  /** Makes a select offer exactly `models` ([{name, value}]), keeping the present choice when it is still there. */
  window.setModelList = function setModelList(dropdownId, models) {
    const dropdown = byId(dropdownId);
    if (!dropdown) return;
    const chosen = dropdown.value;
    dropdown.replaceChildren(...(models ?? []).map(({ name, value }) => new Option(name, value)));
    if ([...dropdown.options].some((option) => option.value === chosen)) dropdown.value = chosen;
  };

  window.GetBenchmarkCustomModelList = null;

  // A module may assign the function above. Its list goes to every select that is marked with data-benchmark-models,
  // and to whoever listens for the event.
  async function refreshBenchmarkModels() {
    if (typeof window.GetBenchmarkCustomModelList !== "function") return;
    try {
      const models = await window.GetBenchmarkCustomModelList();
      for (const dropdown of document.querySelectorAll("select[data-benchmark-models]")) window.setModelList(dropdown.id, models);
      document.dispatchEvent(new CustomEvent("benchmarkmodels", { detail: models }));
    } catch (error) {
      console.warn("GetBenchmarkCustomModelList failed:", error);
    }
  }

  window.addEventListener("load", refreshBenchmarkModels);
  setInterval(refreshBenchmarkModels, BENCHMARK_LIST_EVERY_MS);

  // ---- inside the explorer's frame ----

  // A frame must not be navigated away by a form without a handler or by a link to a place on the page itself.
  if (document.body?.classList.contains("mr-frame")) {
    document.addEventListener("submit", (event) => event.preventDefault());
    document.addEventListener("click", (event) => {
      const link = event.target.closest?.('a[href^="#"]');
      if (!link) return;
      event.preventDefault();
      if (link.hash.length > 1) byId(decodeURIComponent(link.hash.slice(1)))?.scrollIntoView({ behavior: "smooth" });
    });
  }
})();
