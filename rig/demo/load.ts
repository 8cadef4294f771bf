/**
 * What the demo's guest does, and the benches': up to twenty times a second SQLite inserts a row (number, time, 32
 * bytes without a pattern) in a transaction of its own, synced to the disk. In ten seconds that changes some 700
 * pages of memory and 900 of the disk, as a small database at work does.
 */
export const demoLoad = Object.freeze({ payloadBytes: 32, intervalMs: 50 })
