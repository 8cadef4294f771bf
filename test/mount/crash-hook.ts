/**
 * Loaded into every thread of a daemon: a directory made by the name `crash` ends the serving thread by a fault, one
 * by the name `hang` keeps it busy for ever.
 */
import { HeadOperations } from '../../src/mount/operations.ts'

const { mkdir } = HeadOperations.prototype

HeadOperations.prototype.mkdir = function (context, request) {
  if (request.name.toString() === 'crash') {
    setImmediate(() => {
      throw new Error('a fault made by the test')
    })
  }
  while (request.name.toString() === 'hang');
  return mkdir.call(this, context, request)
}
