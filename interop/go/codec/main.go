// The de-aggregator of awslabs for Go as a filter: a JSON request a line, an answer a line. The package has no
// aggregator; its message type writes what one would.
package main

import (
	"bufio"
	"crypto/md5"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"

	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
	"github.com/awslabs/kinesis-aggregation/go/v2/deaggregator"
	"github.com/awslabs/kinesis-aggregation/go/v2/records"
	"github.com/golang/protobuf/proto"
)

type member struct {
	PartitionKey    string       `json:"partition_key"`
	ExplicitHashKey *string      `json:"explicit_hash_key"`
	Data            []byte       `json:"data"`
	Tags            [][2]*string `json:"tags,omitempty"`
}

type request struct {
	Encode []member `json:"encode"`
	Decode *string  `json:"decode"`
}

func main() {
	requests := bufio.NewReader(os.Stdin)
	answers := json.NewEncoder(os.Stdout)
	answers.SetEscapeHTML(false)
	for {
		line, err := requests.ReadBytes('\n')
		if err != nil {
			return
		}
		var asked request
		check(json.Unmarshal(line, &asked))
		if asked.Decode != nil {
			check(answers.Encode(decode(*asked.Decode)))
		} else {
			check(answers.Encode(map[string][]byte{"data": encode(asked.Encode)}))
		}
	}
}

func encode(members []member) []byte {
	message := &records.AggregatedRecord{}
	keys, hashKeys := map[string]uint64{}, map[string]uint64{}
	for _, m := range members {
		record := &records.Record{Data: m.Data, PartitionKeyIndex: index(keys, &message.PartitionKeyTable, m.PartitionKey)}
		if m.ExplicitHashKey != nil {
			record.ExplicitHashKeyIndex = index(hashKeys, &message.ExplicitHashKeyTable, *m.ExplicitHashKey)
		}
		for _, tag := range m.Tags {
			record.Tags = append(record.Tags, &records.Tag{Key: tag[0], Value: tag[1]})
		}
		message.Records = append(message.Records, record)
	}
	body, err := proto.Marshal(message)
	check(err)
	sum := md5.Sum(body)
	return append(append([]byte("\xf3\x89\x9a\xc2"), body...), sum[:]...)
}

func index(known map[string]uint64, table *[]string, text string) *uint64 {
	at, ok := known[text]
	if !ok {
		at = uint64(len(*table))
		known[text] = at
		*table = append(*table, text)
	}
	return &at
}

func decode(text string) any {
	data, err := base64.StdEncoding.DecodeString(text)
	check(err)
	outer := "outer"
	whole, err := deaggregator.DeaggregateRecords([]types.Record{{Data: data, PartitionKey: &outer, SequenceNumber: &outer}})
	if err != nil {
		return map[string]string{"plain": err.Error()}
	}
	// It does not say whether it took a record apart.
	if len(whole) == 1 && *whole[0].PartitionKey == outer && string(whole[0].Data) == string(data) {
		return map[string]string{"plain": "not aggregated"}
	}
	members := make([]member, 0, len(whole))
	for _, record := range whole {
		if record.Data == nil {
			record.Data = []byte{}
		}
		members = append(members, member{PartitionKey: *record.PartitionKey, Data: record.Data})
	}
	return map[string][]member{"members": members}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
