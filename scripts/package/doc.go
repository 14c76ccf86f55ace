// Package packaging tests what the scripts of this folder make: the lean eye, the
// .deb, and the units in it. It has no code of its own. What has to be built first
// is behind the tag deb; `make test-deb` runs all of it.
package packaging
