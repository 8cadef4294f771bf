/** The tests of replacement.test.ts on encrypted stores. */
process.env['HOLDFAST_TEST_ENCRYPTED'] = 'yes'
await import('./replacement.test.ts')
