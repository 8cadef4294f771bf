/** What other rooms may do to the page cache of a mount: fill it before anyone uses it (see fuse/notify.ts). */
export { storeSync as storePages } from '../../fuse/index.ts'
