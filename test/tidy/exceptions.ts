/** Places that a rule lets pass, each with its reason. An exception that nothing needs any more is a fault. */

/** Rooms that may use node:fs: the door itself, what talks to devices, and what is not shipped. */
export const roomsWithFiles = ['env', 'fuse', 'rig', 'bench', 'test']

/** Files outside those rooms that use node:fs. */
export const filesWithFiles: Record<string, string> = {
  'src/daemon/socket-path.ts': 'opens a directory for its descriptor; the client loads nothing more than it must',
  'src/daemon/front.ts': 'removes and protects the socket, which is no data of the store',
  'src/daemon/control-files.ts': 'makes the control directory with its mode, removes a dead daemon’s socket and pid file',
  'src/daemon/daemon-log.ts': 'appends to standard output and cuts the log',
  'src/daemon/process.ts': 'reads and writes inherited descriptors',
  'src/daemon/launch.ts': 'closes the descriptor that it handed down',
  'drivers/linux.ts': 'is the drivers’ own door to files, injected into them',
  'src/cli/export-output.ts': 'copies a temporary file to standard output',
}

/** Rooms that may read the clock or draw random numbers directly. */
export const roomsWithClock = ['env', 'rig', 'bench', 'test']

export const filesWithClock: Record<string, string> = {
  'drivers/linux.ts': 'is the drivers’ own door to the clock, injected into them',
}
