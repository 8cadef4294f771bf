/**
 * The manifests that a mount may still read by: the one it began with or turned to last, and all that were committed
 * since, until its server has said that it turned to them.
 */
import type { Buffer } from 'node:buffer'

export class ServedManifests {
  #served: { segment: number; manifest: Buffer }[] = []

  /** A server begins with this one. */
  begin(segment: number, manifest: Buffer): void {
    this.#served = [{ segment, manifest }]
  }

  committed(segment: number, manifest: Buffer): void {
    if (this.#served.length > 0) this.#served.push({ segment, manifest })
  }

  /** The server reads by the manifest of that commit, or a later one. */
  retired(segment: number): void {
    const at = this.#served.findLastIndex((each) => each.segment <= segment)
    if (at > 0) this.#served.splice(0, at)
  }

  end(): void {
    this.#served = []
  }

  get manifests(): Buffer[] {
    return this.#served.map(({ manifest }) => manifest)
  }
}
