// Classic script, after link.js: how a module's page looks from outside. Its theme, its height, what it is told of its module.
(function () {
  "use strict";

  const MOST_STEPS = 8;
  const ROUNDING = 2; // pixels that a growth may show without being one
  const ANSWER_MS = 400; // how long the explorer may take to give the frame another height
  const frame = window.millraceFrame;
  const root = document.documentElement;
  let step = 0;
  let lastGrowth = Infinity;
  let asked = null; // the height that the explorer was asked for
  let timer = 0;

  function setTheme({ theme }) {
    if (theme) root.dataset.theme = theme;
    else delete root.dataset.theme;
  }

  // Lets a page size itself by the room that is really there: height: calc(var(--mr-view-height) * 0.6).
  function setViewHeight({ height }) {
    if (height) root.style.setProperty("--mr-view-height", `${height}px`);
  }

  frame.on("theme", setTheme);
  frame.on("view", setViewHeight);
  frame.on("status", ({ detail }) => document.dispatchEvent(new CustomEvent("modulestatus", { detail })));
  setTheme(frame.given);
  setViewHeight({ height: frame.given.viewHeight });
  if (!frame.inside) return;

  // The frame is kept as high as its content, so that there is one scroll bar: the explorer's. A page whose height follows
  // the frame's (100vh plus something) would grow for ever; its frame gets a fixed height and scrolls inside instead.
  root.classList.add("mr-auto-height");
  const observer = new ResizeObserver(() => {
    if (asked === null) begin();
  });

  function begin() {
    step = 0;
    lastGrowth = Infinity;
    fit();
  }

  function fit() {
    const height = Math.ceil(document.body.getBoundingClientRect().height);
    const growth = height - window.innerHeight;
    if (height === 0 || growth === 0 || step >= MOST_STEPS) return; // hidden, or it fits
    if (step > 0 && growth > ROUNDING && growth >= lastGrowth) {
      giveUp();
      return;
    }
    lastGrowth = step === 0 ? Infinity : growth;
    asked = height;
    timer = setTimeout(settled, ANSWER_MS);
    frame.send({ type: "height", height });
  }

  function settled() {
    clearTimeout(timer);
    asked = null;
    step += 1;
    fit();
  }

  function giveUp() {
    observer.disconnect();
    window.removeEventListener("resize", resized);
    root.classList.remove("mr-auto-height");
    frame.send({ type: "height", height: null });
  }

  function resized() {
    if (asked === null) begin();
    else if (Math.abs(window.innerHeight - asked) < 1) settled();
  }

  window.addEventListener("resize", resized);
  document.addEventListener("DOMContentLoaded", () => observer.observe(document.body));
})();
