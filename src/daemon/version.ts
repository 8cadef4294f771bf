/** As in package.json; a test compares them. */
export const version = '0.1.0'
/** Raised whenever an old client and a new daemon, or the reverse, could misunderstand each other. */
export const controlProtocol = 1
