// Prints what Go's archive/tar reads of a tar: one line for each member, texts in hex. Docker, containerd and Podman
// unpack layers with it, so its word is what counts.
package main

import (
	"archive/tar"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
)

const xattrPrefix = "SCHILY.xattr."

func main() {
	reader := tar.NewReader(os.Stdin)
	for {
		header, err := reader.Next()
		if err == io.EOF {
			return
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		var xattrs []string
		for key, value := range header.PAXRecords {
			if strings.HasPrefix(key, xattrPrefix) {
				xattrs = append(xattrs, fmt.Sprintf("%x=%x", key[len(xattrPrefix):], value))
			}
		}
		sort.Strings(xattrs)
		fmt.Printf("%x %c %o %d %d %d %d [%x] %d %d %s\n", header.Name, header.Typeflag, header.Mode, header.Uid,
			header.Gid, header.Size, header.ModTime.Unix(), header.Linkname, header.Devmajor, header.Devminor,
			strings.Join(xattrs, ","))
	}
}
