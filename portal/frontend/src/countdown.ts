// Time left until a moment, beside the moment itself: the page says it without this as well.
function left(until: number): string {
  const seconds = Math.max(0, Math.round((until - Date.now()) / 1000));
  const minutes = Math.floor(seconds / 60);
  return `(${minutes}:${String(seconds % 60).padStart(2, "0")} left)`;
}

export function startCountdown() {
  const tick = () => {
    for (const part of document.querySelectorAll<HTMLElement>("[data-until]")) {
      part.textContent = left(Date.parse(part.dataset.until ?? ""));
    }
  };
  tick();
  setInterval(tick, 1000);
}
