// Reads a log as it is served with the Go project's own packages for its checksum database, where signed notes and
// tiles come from: golang.org/x/mod/sumdb/note and …/tlog. Knows nothing of this project.
//
// In (standard input) and out (standard output): as read_log.py, without what these packages do not know:
// cosignatures and entry bundles. The entry is given, in hex.
package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type question struct {
	Prefix, Log, Entry string
	OldRoot            string `json:"old_root"`
	OldSize            int64  `json:"old_size"`
	Index              int64
}

type answer struct {
	Checkpoint []interface{} `json:"checkpoint"`
	Path       []string      `json:"path"`
	Proof      []string      `json:"proof"`
}

func main() {
	var asked question
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		fail(err)
	}
	found, err := readLog(asked)
	if err != nil {
		fail(err)
	}
	json.NewEncoder(os.Stdout).Encode(found)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func readLog(asked question) (*answer, error) {
	tiles := &served{prefix: asked.Prefix}
	origin, tree, err := tiles.checkpoint(asked.Log)
	if err != nil {
		return nil, err
	}
	// Every hash that is read through it is checked against the tree's root.
	hashes := tlog.TileHashReader(tree, tiles)
	entry, err := hex.DecodeString(asked.Entry)
	if err != nil {
		return nil, err
	}
	path, err := tlog.ProveRecord(tree.N, asked.Index, hashes)
	if err != nil {
		return nil, err
	}
	if err := tlog.CheckRecord(path, tree.N, tree.Hash, asked.Index, tlog.RecordHash(entry)); err != nil {
		return nil, err
	}
	proof, err := tlog.ProveTree(tree.N, asked.OldSize, hashes)
	if err != nil {
		return nil, err
	}
	raw, err := hex.DecodeString(asked.OldRoot)
	if err != nil || len(raw) != tlog.HashSize {
		return nil, fmt.Errorf("not a root: %s", asked.OldRoot)
	}
	var old tlog.Hash
	copy(old[:], raw)
	if err := tlog.CheckTree(proof, tree.N, tree.Hash, asked.OldSize, old); err != nil {
		return nil, err
	}
	whole, err := tlog.TreeHash(tree.N, hashes)
	if err != nil || whole != tree.Hash {
		return nil, fmt.Errorf("the tiles lead to %v: %v", whole, err)
	}
	checkpoint := []interface{}{origin, tree.N, hex.EncodeToString(tree.Hash[:])}
	return &answer{checkpoint, texts(path), texts(proof)}, nil
}

func texts(hashes []tlog.Hash) []string {
	found := make([]string, len(hashes))
	for at, hash := range hashes {
		found[at] = hex.EncodeToString(hash[:])
	}
	return found
}

// served is a tlog.TileReader over HTTP.
type served struct{ prefix string }

func (s *served) get(path string) ([]byte, error) {
	client := http.Client{Timeout: 10 * time.Second}
	response, err := client.Get(s.prefix + "/" + path)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", path, response.Status)
	}
	return io.ReadAll(io.LimitReader(response.Body, 1<<20))
}

func (s *served) checkpoint(vkey string) (string, tlog.Tree, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return "", tlog.Tree{}, err
	}
	data, err := s.get("checkpoint")
	if err != nil {
		return "", tlog.Tree{}, err
	}
	opened, err := note.Open(data, note.VerifierList(verifier))
	if err != nil {
		return "", tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		return "", tlog.Tree{}, fmt.Errorf("not a checkpoint of three lines: %q", opened.Text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return "", tlog.Tree{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return lines[0], tlog.Tree{N: size, Hash: root}, err
}

func (s *served) Height() int { return 8 }

func (s *served) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	found := make([][]byte, len(tiles))
	for at, tile := range tiles {
		// The checksum database has the height in its paths; tlog-tiles has one height only.
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		data, err := s.get(path)
		if err != nil {
			return nil, err
		}
		found[at] = data
	}
	return found, nil
}

func (s *served) SaveTiles(tiles []tlog.Tile, data [][]byte) {}
