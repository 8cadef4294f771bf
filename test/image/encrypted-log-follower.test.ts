/** The tests of log-follower.test.ts on an encrypted log. */
process.env['HOLDFAST_TEST_ENCRYPTED'] = 'yes'
await import('./log-follower.test.ts')
