import test from 'ava'
import { systemEnv } from '../../src/env/system.ts'
import { WallClock } from '../../src/env/wall-clock.ts'
import { Random } from '../random.ts'

const millisecondNs = 1_000_000n

/** The true time and a second clock that is a little fast or slow; the system tells whole milliseconds. */
class Times {
  trueNs = 1_700_000_000_000_123_456n
  countNs = 77n

  readonly clock = new WallClock(() => Number(this.trueNs / millisecondNs), () => this.countNs)

  pass(ns: bigint, drift = 0n): void {
    this.trueNs += ns
    this.countNs += ns + drift
  }
}

test('between two milliseconds it goes on, and is within a millisecond of the true time', (t) => {
  const random = Random.announced(t)
  const times = new Times()
  let last = 0n
  let distinct = 0
  for (let round = 0; round < 5000; round += 1) {
    times.pass(BigInt(random.below(400_000)), BigInt(random.below(200)))
    const now = times.clock.nowNs()
    const off = now > times.trueNs ? now - times.trueNs : times.trueNs - now
    t.true(off < millisecondNs, `off by ${off} ns`)
    t.true(now >= last)
    distinct += Number(now > last)
    last = now
  }
  t.true(distinct > 4000, `${distinct} of 5000 times were new`)
})

test('it follows a clock that is set forward, and stands still until one that is set back has come again', (t) => {
  const times = new Times()
  const first = times.clock.nowNs()
  times.trueNs += 3600n * 1000n * millisecondNs
  const forward = times.clock.nowNs()
  t.true(forward - first >= 3599n * 1000n * millisecondNs)
  times.trueNs -= 10n * millisecondNs
  t.is(times.clock.nowNs(), forward)
  times.pass(5n * millisecondNs)
  t.is(times.clock.nowNs(), forward)
  times.pass(7n * millisecondNs)
  t.true(times.clock.nowNs() > forward)
})

test('the system’s own is finer than a millisecond and never goes back', (t) => {
  const env = systemEnv()
  const times = Array.from({ length: 10_000 }, () => env.wallNs())
  t.true(times.every((time, at) => at === 0 || time >= times[at - 1]))
  t.true(times.filter((time) => time % millisecondNs !== 0n).length > 5000)
  t.true(Math.abs(Number(times.at(-1)! / millisecondNs) - env.wallMs()) < 60_000)
})
