import { clock } from "./chart/format";

// A live region asks again every few seconds. It rests while the page is hidden, and while
// the pointer or the focus is in a part that would move away under it.
const mayRest = "[data-rest]";

function isResting(region: HTMLElement): boolean {
  if (document.hidden || document.querySelector("dialog:modal, #peek > *")) return true;
  for (const part of region.querySelectorAll(mayRest)) {
    if (part.matches(":hover") || part.contains(document.activeElement)) return true;
  }
  return false;
}

/** Since when a region has had no answer. */
const lost = new WeakMap<Element, Date>();

function show(region: HTMLElement, resting: boolean) {
  const badge = region.querySelector<HTMLElement>("[data-live-state]");
  if (!badge) return;
  const since = lost.get(region);
  badge.dataset.liveState = since ? "lost" : resting ? "resting" : "live";
  const time = badge.querySelector("[data-live-since]");
  if (since && time) time.textContent = clock(since.getTime() / 1000, document.body.dataset.zone || "UTC", false, true);
}

/** What stands on the page is old from the last answer on, and says so until the next one. */
function watchAnswers() {
  const regionOf = (event: Event) =>
    (event as CustomEvent<{ ctx?: HtmxContext }>).detail?.ctx?.sourceElement?.closest?.<HTMLElement>("[data-live]");
  document.addEventListener("htmx:error", (event) => {
    const region = regionOf(event);
    if (!region) return;
    if (!lost.has(region)) lost.set(region, new Date());
    show(region, false);
  });
  document.addEventListener("htmx:after:swap", (event) => {
    const region = regionOf(event);
    if (region) lost.delete(region);
  });
}

function tick(region: HTMLElement) {
  const resting = isResting(region);
  show(region, resting);
  if (!resting) region.dispatchEvent(new CustomEvent("qc:tick", { bubbles: false }));
}

export function startLive() {
  watchAnswers();
  let elapsed = 0;
  setInterval(() => {
    elapsed += 1;
    for (const region of document.querySelectorAll<HTMLElement>("[data-live]")) {
      const every = Number(region.dataset.live) || 5;
      if (elapsed % every === 0) tick(region);
      else show(region, isResting(region));
    }
  }, 1000);
}
