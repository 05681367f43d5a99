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

function show(region: HTMLElement, resting: boolean) {
  const badge = region.querySelector<HTMLElement>("[data-live-state]");
  if (badge) badge.dataset.liveState = resting ? "resting" : "live";
}

function tick(region: HTMLElement) {
  const resting = isResting(region);
  show(region, resting);
  if (!resting) region.dispatchEvent(new CustomEvent("qc:tick", { bubbles: false }));
}

export function startLive() {
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
