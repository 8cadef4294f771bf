/** The demo cannot go on: something was not as it must be. The message is for people. */
export class DemoFailure extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'DemoFailure'
  }
}
