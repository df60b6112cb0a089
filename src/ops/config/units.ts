// Durations (`500ms`, `5s`, `7d`) and sizes (`4KiB`, `64MiB`) as people write them.

const DURATIONS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const SIZES: Readonly<Record<string, number>> = {
  B: 1,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  kB: 1000,
  MB: 1000 ** 2,
  GB: 1000 ** 3,
}

const NUMBER_AND_UNIT = /^(\d+(?:\.\d+)?) ?([A-Za-z]+)$/

function read(text: string, units: Readonly<Record<string, number>>): number | null {
  const match = NUMBER_AND_UNIT.exec(text.trim())
  const unit = match === null || !Object.hasOwn(units, match[2]!) ? undefined : units[match[2]!]
  return match === null || unit === undefined ? null : Math.round(Number(match[1]) * unit)
}

/** Milliseconds, or null when it is not a duration. A number without a unit is none: of what? */
export const parseDuration = (text: string): number | null => read(text, DURATIONS)

/** Bytes, or null when it is not a size. A whole number without a unit counts bytes. */
export function parseSize(value: string | number): number | null {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0 ? value : null
  return /^\d{1,15}$/.test(value.trim()) ? Number(value) : read(value, SIZES)
}

/** The shortest whole form: 90000 is `90s`, 604800000 is `7d`. */
export const durationText = (ms: number): string => shortest(ms, ['d', 'h', 'm', 's', 'ms'], DURATIONS)
export const sizeText = (bytes: number): string => shortest(bytes, ['GiB', 'MiB', 'KiB', 'B'], SIZES)

function shortest(value: number, units: readonly string[], table: Readonly<Record<string, number>>): string {
  const unit = units.find((each) => value !== 0 && value % table[each]! === 0) ?? units[units.length - 1]!
  return `${value / table[unit]!}${unit}`
}
