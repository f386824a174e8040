/** Texts for people, made of what the sidecar answers. Pure. */

const UNITS: Array<[Intl.RelativeTimeFormatUnit, number]> = [
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
];

/** "5 minutes ago"; undefined for what is no time. */
export function age(time: string, now: Date): string | undefined {
  const seconds = (now.getTime() - Date.parse(time)) / 1000;
  if (Number.isNaN(seconds)) {
    return undefined;
  }
  const format = new Intl.RelativeTimeFormat('en', { numeric: 'always' });
  for (const [unit, size] of UNITS) {
    if (seconds >= size) {
      return format.format(-Math.floor(seconds / size), unit);
    }
  }
  return 'just now';
}

/** "0.42 s", "7.4 s", "2 min 5 s". */
export function duration(seconds: number): string {
  if (seconds < 1) {
    return `${seconds.toFixed(2)} s`;
  }
  if (seconds < 60) {
    return `${seconds.toFixed(1)} s`;
  }
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

/** "user:default/guest" → "guest". */
export function refName(ref: string): string {
  return ref.slice(Math.max(ref.lastIndexOf('/'), ref.lastIndexOf(':')) + 1);
}

/** "https://…/pulls/7" → "#7"; the address itself where it does not end in a number. */
export function pullRequestTitle(url: string): string {
  const number = /\/(\d+)\/?$/.exec(url)?.[1];
  return number ? `#${number}` : url;
}

/** "StorageReady" or "post-create" → "Storage ready", "Post create". */
export function words(name: string): string {
  const spaced = name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replace(/[-_]+/g, ' ')
    .toLowerCase();
  return spaced.charAt(0).toUpperCase() + spaced.slice(1);
}
