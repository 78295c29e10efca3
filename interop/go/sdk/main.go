// The AWS SDK 2 for Go on a server: `sdk ENDPOINT STREAM RECORDS`. Writes a third of the records before a split, a third
// before the number of shards is doubled, and a third after it, reads all shards to their ends, and prints a summary.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"
)

var (
	ctx    = context.Background()
	client *kinesis.Client
	stream *string
)

func main() {
	stream = aws.String(os.Args[2])
	count, err := strconv.Atoi(os.Args[3])
	check(err)
	client = kinesis.New(kinesis.Options{
		BaseEndpoint: aws.String(os.Args[1]),
		Region:       "us-east-1",
		Credentials:  credentials.NewStaticCredentialsProvider("interop", "interop", ""),
	})
	_, err = client.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: aws.String(*stream + "-none")})
	var missing *types.ResourceNotFoundException
	isMissing := errors.As(err, &missing)

	_, err = client.CreateStream(ctx, &kinesis.CreateStreamInput{StreamName: stream, ShardCount: aws.Int32(2)})
	check(err)
	waitActive()
	put(0, count/3)
	_, err = client.SplitShard(ctx, &kinesis.SplitShardInput{
		StreamName: stream, ShardToSplit: open()[0].ShardId, NewStartingHashKey: aws.String("12345"),
	})
	check(err)
	waitActive()
	put(count/3, 2*count/3)
	_, err = client.UpdateShardCount(ctx, &kinesis.UpdateShardCountInput{
		StreamName: stream, TargetShardCount: aws.Int32(6), ScalingType: types.ScalingTypeUniformScaling,
	})
	check(err)
	waitActive()
	put(2*count/3, count)

	read, again, children := map[string]bool{}, 0, 0
	for _, shard := range shards() {
		closed := shard.SequenceNumberRange.EndingSequenceNumber != nil
		got, err := client.GetShardIterator(ctx, &kinesis.GetShardIteratorInput{
			StreamName: stream, ShardId: shard.ShardId, ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
		})
		check(err)
		iterator := got.ShardIterator
		for empty := 0; iterator != nil && (closed || empty < 3); {
			page, err := client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: iterator, Limit: aws.Int32(1000)})
			check(err)
			for _, record := range page.Records {
				if read[string(record.Data)] {
					again++
				}
				read[string(record.Data)] = true
			}
			if empty++; len(page.Records) > 0 {
				empty = 0
			}
			children += len(page.ChildShards)
			iterator = page.NextShardIterator
			if empty > 50 {
				check(fmt.Errorf("%s is closed and has no end", *shard.ShardId))
			}
		}
	}
	expected := 0
	for n := 0; n < count; n++ {
		if read[fmt.Sprintf("record %d", n)] {
			expected++
		}
	}
	fmt.Printf("{\"count\":%d,\"missing_stream\":%t,\"unexpected\":%d,\"again\":%d,\"open\":%d,\"children\":%d,\"protocol\":\"JSON\",\"read\":%d}\n",
		count, isMissing, len(read)-expected, again, len(open()), children, expected)
}

func put(from, to int) {
	for first := from; first < to; first += 100 {
		var entries []types.PutRecordsRequestEntry
		for n := first; n < min(first+100, to); n++ {
			entries = append(entries, types.PutRecordsRequestEntry{
				PartitionKey: aws.String(fmt.Sprintf("key%d", n)), Data: []byte(fmt.Sprintf("record %d", n)),
			})
		}
		reply, err := client.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: stream, Records: entries})
		check(err)
		if *reply.FailedRecordCount != 0 {
			check(fmt.Errorf("%d of %d records failed", *reply.FailedRecordCount, len(entries)))
		}
	}
}

func shards() []types.Shard {
	listed, err := client.ListShards(ctx, &kinesis.ListShardsInput{StreamName: stream})
	check(err)
	return listed.Shards
}

func open() (opened []types.Shard) {
	for _, shard := range shards() {
		if shard.SequenceNumberRange.EndingSequenceNumber == nil {
			opened = append(opened, shard)
		}
	}
	return opened
}

func waitActive() {
	for {
		summary, err := client.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: stream})
		check(err)
		if summary.StreamDescriptionSummary.StreamStatus == types.StreamStatusActive {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
