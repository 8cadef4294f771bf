/** What a check looks at, and what one look at it found. */
import type { Env } from '../../env/env.ts'
import type { Damage } from '../../store/damage.ts'
import type { LocalChunkStore } from '../../store/local-chunk-store.ts'
import type { CheckReport } from '../types.ts'
import type { ImageSurveyInput } from './image-survey.ts'

export interface CheckTarget {
  readonly env: Env
  readonly directory: string
  readonly store: LocalChunkStore
  isServed(image: string): boolean
}

export interface StoreSurvey extends ImageSurveyInput {
  readonly damages: readonly Damage[]
  readonly epochs: number
  readonly unread: CheckReport['unread']
}
