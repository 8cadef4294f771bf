/** Guests of a few dozen bytes. Each counts in the 32 bits at 1000h and says so on the serial port. */
import { writeFileSync } from 'node:fs'

export const counterOffset = 0x1000

/**
 * Firmware that counts as fast as it can and prints a letter, B to P then A, at every 65,536th step:
 * what two incarnations printed, one after the other, has no letter missing and none twice.
 *
 *   F000:0000  cli; ds = 0
 *        0005  inc dword [1000]; ax = [1000]; test ax, ax; jnz 0005
 *        0011  dx = 3F8; al = [1002] & 15 + 'A'; out dx, al; jmp 0005
 *   F000:FFF0  jmp F000:0000
 */
export function writeCountingFirmware(path: string): void {
  const image = Buffer.alloc(64 * 1024)
  Buffer.from('fa31c08ed8' + '66ff060010a1001085c075f4' + 'baf803a00210240f0441eeebe7', 'hex').copy(image)
  Buffer.from('ea000000f0', 'hex').copy(image, 0xfff0)
  writeFileSync(path, image)
}

/**
 * A disk that a PC's firmware boots: it sleeps, and counts 18 times a second at the timer's interrupt.
 *
 *   7C00  ds = 0; sti
 *   7C05  hlt; inc dword [1000]; dx = 3F8; al = [1000] & 15 + 'A'; out dx, al; jmp 7C05
 *   7DFE  55 AA
 */
export function writeBootDisk(path: string): void {
  // Firmware boots no disk that is smaller than one of its cylinders, 504 KiB.
  const image = Buffer.alloc(1024 * 1024)
  Buffer.from('31c08ed8fb' + 'f466ff060010' + 'baf803a00010240f0441ee' + 'ebed', 'hex').copy(image)
  image.writeUInt16LE(0xaa55, 510)
  writeFileSync(path, image)
}

/** Whether the letters follow one another in the guests' order. */
export function isUnbroken(letters: string): boolean {
  return [...letters].every(
    (letter, index) =>
      index === 0 || letter.charCodeAt(0) === 0x41 + ((letters.charCodeAt(index - 1) - 0x41 + 1) & 15),
  )
}
