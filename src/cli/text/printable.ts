/**
 * Text that others wrote (names in a guest's disk, notes, names of files in a store) on its way to a terminal: what
 * would move the cursor, change colours or reorder the line is shown as an escape.
 */

const unprintable = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu

export function printable(text: string): string {
  return text.replace(unprintable, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
