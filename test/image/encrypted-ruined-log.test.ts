/** The tests of ruined-log.test.ts on encrypted stores. */
process.env['HOLDFAST_TEST_ENCRYPTED'] = 'yes'
await import('./ruined-log.test.ts')
