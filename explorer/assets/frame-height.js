// Keeps a frame as high as its content, so that there is one scroll bar: the page's.

const MOST_STEPS = 8;
const ROUNDING = 2; // pixels that a growth may show without being one

/**
 * Follows the height of the frame's body. A page whose height follows the frame's (100vh plus something) would grow for
 * ever; such a frame gets a fixed height and scrolls inside instead.
 */
export class FrameHeight {
  constructor(frame) {
    this.frame = frame;
    this.doc = frame.contentDocument;
    this.doc.documentElement.classList.add("mr-auto-height");
    this.#shareViewHeight();
    window.addEventListener("resize", this.#shareViewHeight);
    this.observer = new ResizeObserver(() => this.#fit());
    this.observer.observe(this.doc.body);
  }

  close() {
    this.observer.disconnect();
    window.removeEventListener("resize", this.#shareViewHeight);
  }

  #fit() {
    let lastGrowth = Infinity;
    for (let step = 0; step < MOST_STEPS; step += 1) {
      const height = Math.ceil(this.doc.body.getBoundingClientRect().height);
      const growth = height - this.frame.clientHeight;
      if (height === 0 || growth === 0) return; // hidden, or it fits
      if (step > 0 && growth > ROUNDING && growth >= lastGrowth) {
        this.#giveUp();
        return;
      }
      this.frame.style.height = `${height}px`;
      lastGrowth = step === 0 ? Infinity : growth;
    }
  }

  #giveUp() {
    this.observer.disconnect();
    this.doc.documentElement.classList.remove("mr-auto-height");
    this.frame.style.height = "80vh";
  }

  // Lets a page size itself by the room that is really there: height: calc(var(--mr-view-height) * 0.6).
  #shareViewHeight = () => {
    this.doc.documentElement.style.setProperty("--mr-view-height", `${window.innerHeight}px`);
  };
}
