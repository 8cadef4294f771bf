// Runs every test of posixtest on a directory of a mounted file system.
package posixtest

import (
	"os"
	"testing"

	"github.com/hanwen/go-fuse/v2/posixtest"
)

// Fails on ext4 too: it expects locks of flock(2) and fcntl(2) to exclude each other.
const notOfFileSystems = "FcntlFlockLocksFile"

func TestPosix(t *testing.T) {
	for name, run := range posixtest.All {
		t.Run(name, func(t *testing.T) {
			if name == notOfFileSystems {
				t.Skip("the kernel keeps the two kinds of locks apart")
			}
			directory, err := os.MkdirTemp(os.Getenv("POSIXTEST_DIRECTORY"), name)
			if err != nil {
				t.Fatal(err)
			}
			run(t, directory)
		})
	}
}
