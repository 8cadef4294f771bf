/** What a mount is given to begin with. */
import { decodeManifest } from '../format/manifest.ts'
import { secretOf } from '../store/keys.ts'
import type { LocalChunkStore } from '../store/local-chunk-store.ts'
import type { OpenImage } from './open-image.ts'
import type { HeadStart } from './types.ts'

/** Reserves the head, whose log holds nothing any more. */
export function startHead(image: OpenImage, store: LocalChunkStore): HeadStart {
  const { newest, identity } = image
  image.isServed = true
  image.served.begin(newest.segment, newest.manifest)
  return {
    image: identity.image, directory: store.layout.directory, manifest: newest.manifest.toString('hex'),
    segment: newest.segment + 1, sequence: newest.sequence,
    nextInode: decodeManifest(store.read(newest.manifest)).nextInode,
    imageId: identity.id.toString('hex'), domainId: store.identity.domainId.toString('hex'),
    secret: secretOf(store.keys), takeover: null, notices: image.notices.splice(0),
  }
}

/** Reserves the head for the next server of a mount whose server is gone: its log is left to that. */
export function takeOverHead(image: OpenImage, store: LocalChunkStore): HeadStart {
  const segments = image.pendingSegments()
  const { connection, unique } = image.newest.lastRequest
  const takeover = { segments, lastRequest: { connection, unique: Number(unique) } }
  const start = startHead(image, store)
  return { ...start, segment: Math.max(start.segment, ...segments.map((segment) => segment + 1)), takeover }
}
